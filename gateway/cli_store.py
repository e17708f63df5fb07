"""Commands for the store: `gateway remap`."""

import argparse
from typing import Any


def add_store_commands(commands: Any) -> None:
    """Add them to the command line."""
    text = "把已留存的原始载荷按现在的映射重新解读，不向来源发一次请求"
    remap = commands.add_parser("remap", help=text, description=text)
    remap.set_defaults(command=_remap)
    remap.add_argument("--source", help="只此来源；不写则每个来源")
    remap.add_argument("--entity", help="只此实体，连同记录内嵌的实体")


def _remap(arguments: argparse.Namespace) -> int:
    from gateway.definitions import prove
    from gateway.log import configure_logging
    from gateway.remapping import remap_sources

    configure_logging()
    settings, definitions = prove()
    return 0 if remap_sources(settings, definitions, arguments.source, arguments.entity, print) else 1
