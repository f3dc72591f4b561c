# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""Makes names fit for a public card: without paths of this machine, credentials and names of users."""

import os
import re
from pathlib import Path, PurePath, PureWindowsPath

from ..models.package_data_rdfer import packaged_file


def public_name(name: str) -> str:
    """Reduces a name to the part that may be shown in a card.

    Args:
        name (`str`): a name on the Hub, a path on this machine or a URL.

    Returns:
        `str`: a name on the Hub unchanged; the last part of a path or URL, without credentials, query and fragment;
        "rdfer-small" for the embedded checkpoint; "" if the last part is the name of a user.
    """
    name, embedded = str(name), packaged_file("rdfer-small")
    if os.path.exists(name):
        if embedded and os.path.samefile(name, embedded):
            return "rdfer-small"
        path: PurePath = Path(name).resolve()
        return "" if _names_a_user(path) else path.name
    is_url = re.search(r"\w:/|[?&]\w+=", name)
    has_credentials = re.match(r"[^\s/]+@[^\s/]+[:/]", name)  # also of the form git@host:folder
    if is_url or has_credentials:
        name = re.sub(r"[?#].*", "", name, flags=re.DOTALL).rstrip("/")
        return re.split(r"[/\\@:]", name)[-1]
    if re.match(r"[/~.]|[A-Za-z]:", name) or name.count("/") > 1 or "\\" in name:
        path = PureWindowsPath(name)  # understands both separators
        return "" if _names_a_user(path) else path.name
    return name


def _names_a_user(path: PurePath) -> bool:
    """Whether the last part of a path is, or could be, the name of a user."""
    home, name = Path.home(), path.name
    among_users = path.parent.name.lower() in ("home", "homes", "user", "users")
    if name in ("root", "~", home.name) or path == home.resolve() or among_users:
        return True
    try:
        import pwd
    except ModuleNotFoundError:  # Windows
        return False
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return name.startswith("~")
    return True


def public_value(value):
    """Replaces every path and URL in a setting by its [`public_name`].

    This includes lists, dictionaries and strings of the form `a=b,c=d`.
    """
    if isinstance(value, dict):
        return {key: public_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [public_value(item) for item in value]
    if not isinstance(value, (str, os.PathLike)):
        return value
    value = str(value)
    if re.match(r"\s*\w+\s*=", value):
        return re.sub(r"(?<==)[^,]*", lambda found: public_name(found[0].strip()), value)
    return public_name(value)


__all__ = ["public_name", "public_value"]
