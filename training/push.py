# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Pushes a trained checkpoint to the Hub: weights, configurations, code, card and figures. Sample tables,
training_args.bin, optimiser states and logs are not sent unless --include names them, as they contain paths, names of
videos and settings of your machine.
"""

import sys
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalEntryNotFoundError

from modeling_rdfer.hub.push import files_to_push, prepare_repo, push_files
from training.running.script_parser import ScriptParser

EXAMPLES = """examples:
  python -m training.push --model out --repo-id you/my-model --private
  python -m training.push --model out --repo-id you/my-model --revision fold2 --commit-message "Fold 2"
  python -m training.push --model out --repo-id you/my-model --include sample_table.parquet

The token is that of `hf auth login`, or HF_TOKEN. If the connection breaks, run the same command again: large files
that have arrived are not sent again.
"""


def check_folder(folder: Path, names: list[str], include: list[str]):
    """Raises ValueError if a folder has no complete checkpoint, or a pattern of --include matches no further file."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    if "config.json" not in names:
        raise ValueError(f"{folder} is not a checkpoint: it has no config.json")
    if not any(name.startswith("model") and name.endswith(".safetensors") for name in names):
        raise ValueError(f"{folder} has no weights (model.safetensors)")
    for pattern in include:
        if not set(files_to_push(folder, [pattern])) - set(files_to_push(folder)):
            raise ValueError(f"--include {pattern} matches no further file of {folder}")


def explain(error: Exception, repo_id: str) -> str | None:
    """One line on what went wrong and what to do; None for errors not caused by the Hub, the network or the input."""
    cause = error
    while cause is not None and not isinstance(cause, HTTPError):
        cause = cause.__cause__
    # The client wraps an error of a large file in one that names the file.
    wrapped = f"{error} " if cause is not error and isinstance(error, RuntimeError) else ""
    again = "Run the same command again: files that have arrived are not sent again."
    if isinstance(cause, HfHubHTTPError) and cause.response is not None:
        status, message = cause.response.status_code, cause.server_message or ""
        line = f"the Hub refused the push (HTTP {status}). {message}"
        if wrapped:
            line = f"{wrapped}(HTTP {status}) {message} {again}"
        elif status == 401:
            line = f"the Hub does not accept the token, or there is none (401): run `hf auth login`. {message}"
        elif status == 403:
            line = f"the token may not write to {repo_id} (403): take one that may. {message}"
    elif isinstance(cause, HTTPError) or isinstance(error, (LocalEntryNotFoundError, ConnectionError)):
        line = f"{wrapped}the connection broke ({cause or error}). {again}"
    elif isinstance(error, (HFValidationError, ValueError)):
        line = str(error)
    else:
        return None
    return " ".join(line.split())


def main(argv: list[str] | None = None) -> int:
    """Pushes the checkpoint. Returns 0, or 1 if it failed."""
    parser = ScriptParser("push", __doc__, EXAMPLES)
    parser.add_argument("--model", type=Path, required=True, help="folder of the checkpoint: --output-dir of training")
    parser.add_argument("--repo-id", required=True, help="repository on the Hub, e.g. you/my-model; made if missing")
    parser.add_argument(
        "--private", action="store_true", help="make the repository private; an error if it exists and is public"
    )
    parser.add_argument("--revision", help="branch; made if missing (default: main)")
    parser.add_argument("--commit-message", default="Upload checkpoint", help="message of the commit")
    parser.add_argument(
        "--include",
        nargs="+",
        default=[],
        help="names or patterns of further files to send, e.g. sample_table.parquet",
    )
    parser.add_argument(
        "--overwrite-card", action="store_true", help="replace the card on the Hub even if it was edited there"
    )
    arguments = parser.parse_args(sys.argv[1:] if argv is None else argv)
    folder, repo_id = arguments.model, arguments.repo_id
    try:
        files = files_to_push(folder, arguments.include)
        check_folder(folder, list(files), arguments.include)
        stay = sorted(path.name for path in folder.iterdir() if not any(n.split("/")[0] == path.name for n in files))
        print("Sending " + ", ".join(files))
        print("Not sending " + (", ".join(stay) or "anything else, as the folder holds no other files"))
        repo_id = prepare_repo(repo_id, private=arguments.private or None)
        commit = push_files(
            files,
            repo_id,
            commit_message=arguments.commit_message,
            revision=arguments.revision,
            overwrite_card=arguments.overwrite_card,
        )
    except Exception as error:
        line = explain(error, repo_id)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 1
    print(f"{commit.repo_url} is at {commit.oid}: load it with revision={commit.oid!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
