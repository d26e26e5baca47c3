//! Reading the positional parameters of a request.

use super::Refusal;
use crate::application::Tip;
use alloy_eips::{BlockId, BlockNumberOrTag};
use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;

/// Reads the first parameter.
///
/// # Errors
/// [`Refusal::Params`] if it is missing or is none.
pub fn one<A: DeserializeOwned>(params: &Params<'_>) -> Result<A, Refusal> {
    Ok(params.sequence().next()?)
}

/// Reads a parameter and one that may be missing or null.
///
/// # Errors
/// [`Refusal::Params`] if the first is missing or one is none.
pub fn one_and_maybe<A, B>(params: &Params<'_>) -> Result<(A, Option<B>), Refusal>
where
    A: DeserializeOwned,
    B: DeserializeOwned,
{
    let mut sequence = params.sequence();
    Ok((sequence.next()?, sequence.optional_next()?))
}

/// Reads two parameters and one that may be missing or null.
///
/// # Errors
/// [`Refusal::Params`] if one of the first two is missing or one is none.
pub fn two_and_maybe<A, B, C>(params: &Params<'_>) -> Result<(A, B, Option<C>), Refusal>
where
    A: DeserializeOwned,
    B: DeserializeOwned,
    C: DeserializeOwned,
{
    let mut sequence = params.sequence();
    Ok((
        sequence.next()?,
        sequence.next()?,
        sequence.optional_next()?,
    ))
}

/// Which of the two states that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After the tip, as the tip's own transactions saw the chain.
    Latest,
    /// After the tip, as the next block's transactions will see the chain.
    Pending,
}

/// The state that `block` names; "latest" if it names none.
///
/// # Errors
/// [`Refusal::NotKept`] or [`Refusal::NoBlock`] if it is not the tip's.
pub fn when(block: Option<BlockId>, tip: &Tip) -> Result<When, Refusal> {
    let number = match block {
        None => BlockNumberOrTag::Latest,
        Some(BlockId::Number(number)) => number,
        Some(BlockId::Hash(hash)) if hash.block_hash == tip.digest => BlockNumberOrTag::Latest,
        Some(BlockId::Hash(hash)) => return Err(Refusal::NoBlockHash(hash.block_hash)),
    };
    match number {
        BlockNumberOrTag::Pending => Ok(When::Pending),
        BlockNumberOrTag::Earliest if tip.height > 0 => Err(Refusal::NotKept {
            height: 0,
            tip: tip.height,
        }),
        BlockNumberOrTag::Number(height) if height > tip.height => Err(Refusal::NoBlock),
        BlockNumberOrTag::Number(height) if height < tip.height => Err(Refusal::NotKept {
            height,
            tip: tip.height,
        }),
        _ => Ok(When::Latest),
    }
}

/// The height that `number` names when the tip is at `tip`. It may be above the tip.
pub fn height_of(number: BlockNumberOrTag, tip: u64) -> u64 {
    match number {
        BlockNumberOrTag::Number(height) => height,
        BlockNumberOrTag::Earliest => 0,
        BlockNumberOrTag::Latest
        | BlockNumberOrTag::Pending
        | BlockNumberOrTag::Safe
        | BlockNumberOrTag::Finalized => tip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256};

    const TIP: Tip = Tip {
        height: 7,
        digest: B256::repeat_byte(9),
        timestamp_ms: 1,
    };

    #[test]
    fn every_name_of_the_tip_is_the_tip_and_nothing_else_is() {
        for tag in ["latest", "safe", "finalized", "0x7"] {
            let block = serde_json::from_value(serde_json::json!(tag)).unwrap();
            assert_eq!(when(Some(block), &TIP).unwrap(), When::Latest, "{tag}");
        }
        assert_eq!(when(None, &TIP).unwrap(), When::Latest);
        assert_eq!(
            when(Some(BlockId::hash(TIP.digest)), &TIP).unwrap(),
            When::Latest
        );
        assert_eq!(when(Some(BlockId::pending()), &TIP).unwrap(), When::Pending);
        let refused = |block: BlockId| when(Some(block), &TIP).unwrap_err();
        assert!(matches!(
            refused(BlockId::number(6)),
            Refusal::NotKept { height: 6, tip: 7 }
        ));
        assert!(matches!(
            refused(BlockId::earliest()),
            Refusal::NotKept { height: 0, tip: 7 }
        ));
        assert!(matches!(refused(BlockId::number(8)), Refusal::NoBlock));
        assert!(matches!(
            refused(BlockId::hash(B256::ZERO)),
            Refusal::NoBlockHash(_)
        ));
    }

    #[test]
    fn missing_null_and_wrong_parameters_are_told_apart() {
        let read = |json: &str| one_and_maybe::<Address, bool>(&Params::new(Some(json)));
        let address = Address::repeat_byte(1);
        assert_eq!(read(&format!("[\"{address}\"]")).unwrap(), (address, None));
        assert_eq!(
            read(&format!("[\"{address}\", null]")).unwrap(),
            (address, None)
        );
        assert_eq!(
            read(&format!("[\"{address}\", true]")).unwrap(),
            (address, Some(true))
        );
        for wrong in ["[]", "{}", "[null]", "[1]", "[\"0x12\"]", "[true, true]"] {
            assert!(matches!(read(wrong), Err(Refusal::Params(_))), "{wrong}");
        }
        assert!(matches!(
            one::<Address>(&Params::new(None)),
            Err(Refusal::Params(_))
        ));
    }
}
