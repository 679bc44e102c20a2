"""docs/settings.md, made of the settings themselves: `python -m selfie3d_cli.settings_page > docs/settings.md`."""

from __future__ import annotations

from typing import Any

from selfie3d_cli.settings import COMMAND_SETTINGS
from selfie3d_jobs.env import Setting, settings_of
from selfie3d_service.config import ServiceConfig
from selfie3d_web import WebConfig
from selfie3d_worker.config import WorkerConfig

CONFIGS = {"service": ServiceConfig, "worker": WorkerConfig, "web": WebConfig}
HEAD = """# Settings

Every process reads its settings from environment variables, once, when it starts. A value that cannot be used ends the
process with a sentence that names the variable, the value and what is wanted, and exit code 2. A variable that begins
with `SELFIE3D_` and is not in this table changes nothing; the process says so when it starts, and names the nearest
one that is. `selfie3d doctor` checks them all.

"both" means the service and the worker; "web" is the web process, which also reads the two settings of the log;
"command" is the `selfie3d` command. Times are in seconds.

Made by `python -m selfie3d_cli.settings_page`.

| variable | default | allowed | read by | what it means |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The whole file."""
    settings: dict[str, Setting] = {}
    readers: dict[str, list[str]] = {}
    for reader, config in CONFIGS.items():
        for setting in settings_of(config):
            settings.setdefault(setting.variable, setting)
            readers.setdefault(setting.variable, []).append(reader)
    rows = [_row(setting, readers[name]) for name, setting in settings.items() if name not in COMMAND_SETTINGS]
    for name, (default, text) in COMMAND_SETTINGS.items():
        allowed = _allowed(settings[name]) if name in settings else ""
        rows.append(_cells(name, default, allowed, ", ".join([*readers.get(name, []), "command"]), text))
    return HEAD + "".join(rows)


def _row(setting: Setting, readers: list[str]) -> str:
    reader = "both" if readers[:2] == ["service", "worker"] else readers[0]
    row = _cells(setting.variable, _default(setting.default), _allowed(setting), reader, setting.text)
    return row + "".join(_cells(name, "", "", reader, "file that holds it, instead") for name in setting.variables[1:])


def _cells(name: str, default: str, allowed: str, reader: str, text: str) -> str:
    return f"| `{name}` | {f'`{default}`' if default else ''} | {allowed} | {reader} | {text} |\n"


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(setting: Setting) -> str:
    if isinstance(setting.default, bool):
        return "on, off"
    return setting.domain.text.removeprefix("from ")


if __name__ == "__main__":
    print(page(), end="")
