"""web3.py, unmodified, over HTTP. Prints TAP; ends with status 0 only if each check passed."""

import json
import os
import sys
import time
import traceback
from pathlib import Path

from eth_account import Account
from web3 import Web3
from web3.exceptions import BlockNotFound, ContractCustomError, TransactionNotFound, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder

# Far above what a block takes, so that only a hanging server meets it.
CHECK_TIMEOUT_S = 30
POLL_S = 0.05
TAG = time.time_ns() // 1_000_000


def required(name):
    if not os.environ.get(name):
        sys.exit(f"error: {name} is not set")
    return os.environ[name]


COUNTER = json.loads((Path(__file__).parent / "Counter.json").read_text())
w3 = Web3(Web3.HTTPProvider(required("RPC_URL"), request_kwargs={"timeout": CHECK_TIMEOUT_S}))
account = Account.from_key(required("PRIVATE_KEY"))
w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
w3.eth.default_account = account.address
# What later checks know from earlier ones.
seen = {}


def mined(tx_hash):
    return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=CHECK_TIMEOUT_S, poll_latency=POLL_S)


def add(amount, tag):
    receipt = mined(seen["counter"].functions.add(amount, tag).transact())
    assert receipt.status == 1
    return receipt


def fails(exception, call):
    """The exception of that type with which `call` fails."""
    try:
        call()
    except exception as error:
        return error
    raise AssertionError("it was accepted")


def new_entries(event_filter):
    """The first entries that polling the filter brings."""
    deadline = time.monotonic() + CHECK_TIMEOUT_S
    while time.monotonic() < deadline:
        entries = event_filter.get_new_entries()
        if entries:
            return entries
        time.sleep(POLL_S)
    raise AssertionError(f"nothing within {CHECK_TIMEOUT_S} s")


def chain_id():
    assert w3.is_connected()
    assert w3.client_version
    assert str(w3.eth.chain_id) == w3.net.version


def block_number_and_block():
    number = w3.eth.block_number
    block = w3.eth.get_block(number, full_transactions=True)
    assert block.number == number and block.baseFeePerGas >= 0
    assert w3.eth.get_block(block.hash).parentHash == block.parentHash
    assert w3.eth.get_block_transaction_count(number) == len(block.transactions)
    fails(BlockNotFound, lambda: w3.eth.get_block(number + 1_000_000))


def balance():
    assert w3.eth.get_balance(account.address) > 0, "PRIVATE_KEY is not funded"


def eip_1559_transfer():
    to = Account.create().address
    tx_hash = w3.eth.send_transaction({"to": to, "value": 1_000})
    receipt = mined(tx_hash)
    assert (receipt.status, receipt.type, receipt.gasUsed) == (1, 2, 21_000)
    assert w3.eth.get_balance(to) == 1_000
    sent = w3.eth.get_transaction(tx_hash)
    assert (sent["from"], sent.to, sent.value) == (account.address, to, 1_000)
    assert w3.eth.get_transaction_count(account.address) == sent.nonce + 1


def unknown_transaction():
    fails(TransactionNotFound, lambda: w3.eth.get_transaction(b"\x11" * 32))
    fails(TransactionNotFound, lambda: w3.eth.get_transaction_receipt(b"\x11" * 32))


def deployment():
    contract = w3.eth.contract(abi=COUNTER["abi"], bytecode=COUNTER["bytecode"])
    receipt = mined(contract.constructor().transact())
    assert receipt.status == 1
    seen["counter"] = w3.eth.contract(address=receipt.contractAddress, abi=COUNTER["abi"])
    seen["deployed_at"] = receipt.blockNumber
    assert len(w3.eth.get_code(receipt.contractAddress)) > 0


def transaction_event_and_receipt():
    receipt = add(7, TAG)
    (event,) = seen["counter"].events.Added().process_receipt(receipt)
    assert dict(event.args) == {"account": account.address, "tag": TAG, "amount": 7, "total": 7}


def calls_and_storage():
    assert seen["counter"].functions.total().call() == 7
    assert seen["counter"].functions.addedBy(account.address).call() == 7
    assert int.from_bytes(w3.eth.get_storage_at(seen["counter"].address, 0)) == 7


def revert_with_its_data():
    too_much = seen["counter"].functions.add(101, TAG)
    selector = Web3.to_hex(Web3.keccak(text="TooMuch(uint256,uint256)")[:4])
    expected = f"{selector}{101:064x}{100:064x}"
    assert fails(ContractCustomError, too_much.call).data == expected
    assert fails(ContractCustomError, too_much.estimate_gas).data == expected


def a_reverted_transaction_has_a_receipt():
    receipt = mined(seen["counter"].functions.add(101, TAG).transact({"gas": 100_000}))
    assert receipt.status == 0 and not receipt.logs


def gas_estimate_holds():
    call = seen["counter"].functions.add(1, TAG + 1)
    gas = call.estimate_gas()
    receipt = mined(call.transact({"gas": gas}))
    assert receipt.status == 1 and receipt.gasUsed <= gas


def fees_and_fee_history():
    assert w3.eth.gas_price >= 0 and w3.eth.max_priority_fee >= 0
    history = w3.eth.fee_history(2, "latest", [25, 75])
    assert len(history.baseFeePerGas) == len(history.gasUsedRatio) + 1
    assert all(len(block) == 2 for block in history.reward)


def logs_by_topics_and_block_range():
    def tags(from_block=seen["deployed_at"], to_block="latest", **filters):
        logs = seen["counter"].events.Added().get_logs(
            from_block=from_block, to_block=to_block, argument_filters=filters
        )
        return [log.args.tag for log in logs]

    assert tags() == [TAG, TAG + 1]
    assert tags(tag=TAG + 1) == [TAG + 1]
    assert tags(account=account.address, tag=[TAG, TAG + 1]) == [TAG, TAG + 1]
    assert tags(tag=TAG + 2) == []
    assert tags(from_block=0, to_block=seen["deployed_at"] - 1) == []


def a_filter_reports_changes_once():
    added = seen["counter"].events.Added()
    event_filter = added.create_filter(from_block="latest", argument_filters={"tag": TAG + 2})
    add(2, TAG + 2)
    assert [entry.args.amount for entry in new_entries(event_filter)] == [2]
    assert event_filter.get_new_entries() == []
    assert [entry.args.amount for entry in event_filter.get_all_entries()] == [2]
    assert w3.eth.uninstall_filter(event_filter.filter_id)
    fails(Web3RPCError, event_filter.get_new_entries)


def a_block_filter_reports_new_blocks():
    blocks = w3.eth.filter("latest")
    expected = add(1, TAG + 3).blockHash
    while expected not in new_entries(blocks):
        pass


def an_unknown_method_is_32601():
    response = w3.provider.make_request("assay_noSuchMethod", [])
    assert response["error"]["code"] == -32601, response


def transactions_that_cannot_run_are_refused():
    poor = Account.create()
    fees = {"gas": 21_000, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 1, "chainId": w3.eth.chain_id}

    def refused(signer, **changes):
        signed = signer.sign_transaction({"to": account.address, "value": 1, "nonce": 0, **fees, **changes})
        fails(Web3RPCError, lambda: w3.eth.send_raw_transaction(signed.raw_transaction))

    refused(poor)
    refused(account)
    refused(account, nonce=w3.eth.get_transaction_count(account.address), chainId=w3.eth.chain_id + 1)
    fails(Web3RPCError, lambda: w3.eth.send_raw_transaction(b"\x02\xc0"))


CHECKS = [
    chain_id,
    block_number_and_block,
    balance,
    eip_1559_transfer,
    unknown_transaction,
    deployment,
    transaction_event_and_receipt,
    calls_and_storage,
    revert_with_its_data,
    a_reverted_transaction_has_a_receipt,
    gas_estimate_holds,
    fees_and_fee_history,
    logs_by_topics_and_block_range,
    a_filter_reports_changes_once,
    a_block_filter_reports_new_blocks,
    an_unknown_method_is_32601,
    transactions_that_cannot_run_are_refused,
]


def main():
    print(f"1..{len(CHECKS)}", flush=True)
    failed = 0
    for number, check in enumerate(CHECKS, start=1):
        name = f"web3.py: {check.__name__.replace('_', ' ')}"
        try:
            check()
            print(f"ok {number} - {name}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            print("\n".join(f"  # {line}" for line in traceback.format_exc().splitlines()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
