"""One client, huggingface_hub as it is installed in this environment, by Xet or with Xet disabled. Prints TAP."""

import os
import sys
import tempfile

# Before anything of the client is imported: it reads its environment once, and a home of its own keeps caches apart.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="home-")
os.environ["HF_ENDPOINT"] = os.environ.get("HUB_URL", "")
os.environ["HF_TOKEN"] = os.environ.get("HUB_TOKEN", "")
os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_UPDATE_CHECK="1", HF_HUB_DISABLE_TELEMETRY="1")

import huggingface_hub  # noqa: E402

import check  # noqa: E402
import content  # noqa: E402
import dedup  # noqa: E402
import hub  # noqa: E402
import repositories  # noqa: E402
import resumption  # noqa: E402

PARTS = {"repositories": repositories, "content": content, "dedup": dedup, "resumption": resumption}


def main():
    wanted = sys.argv[1:] or list(PARTS)
    checks = [one for name in wanted for one in PARTS[name].CHECKS]
    mode = "by Xet" if hub.XET else "without Xet"
    return 1 if check.run(f"huggingface_hub {huggingface_hub.__version__} {mode}", checks) else 0


if __name__ == "__main__":
    sys.exit(main())
