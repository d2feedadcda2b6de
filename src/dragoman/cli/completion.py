"""Completion of words in bash, zsh and fish: of commands and options by click, of names by us.

The functions without an underscore are callbacks of click (``shell_complete``). A name that cannot
be looked up is not completed: nothing is reported, and nothing is created.
"""

from __future__ import annotations

import os

import rich_click as click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

VARIABLE = "_DRAGOMAN_COMPLETE"
"""The environment variable by which a shell asks for completions."""
BASH_WORD_BREAKS = "\"'@><=;|&(:"
"""Bash's default COMP_WORDBREAKS, at which it begins a new word (bash(1))."""
_WITHIN_WORD = {"@", "$"}
"""Word breaks of bash that belong to the word which they begin (readline's rl_special_prefixes)."""
_QUOTED_IN_BASH = set(" \t\"'\\$`&|;<>()*?[]{}!#~")
_SPECIAL_IN_QUOTES = set("\\$`\"'!")

_BASH = """\
%(complete_func)s() {
    local type value
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *= ]] && compopt -o nospace ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a open plain described response
    local type key descr
    (( ! $+commands[%(prog_name)s] )) && return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type key descr in ${response}; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain)
                if [[ $key == *= ]]; then open+=("$key")
                elif [[ $descr == _ ]]; then plain+=("$key")
                else described+=("$key:$descr"); fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -U -V unsorted -a plain
    (( $#open )) && compadd -U -S '' -V unsorted -a open
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
_FISH = """\
function %(complete_func)s
    for line in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp | string collect) \\
            COMP_CWORD=(commandline -ct | string collect) %(prog_name)s 2>/dev/null)
        set -l part (string split --max 1 "," -- $line)
        switch $part[1]
            case dir
                __fish_complete_directories $part[2]
            case file
                __fish_complete_path $part[2]
            case plain
                echo $part[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Bash(BashComplete):
    """Bash, which splits words at ``@``, ``=`` and ``:``, and replaces the last part only."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:  # a script of an earlier version
            return super().get_completion_args()
        is_new_word = split_arg_string(f"{line}x")[-1] == "x"
        words = [*split_arg_string(line), *([""] if is_new_word else [])]
        return words[1:-1], words[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Return completions; within quotes, none that bash would take for more than text.

        An e-mail address may have backquotes, and anyone who signs up chooses it: within double
        quotes, bash would run what is between them.
        """
        found = super().get_completions(args, incomplete)
        if not self._is_in_quotes(os.environ.get("COMP_LINE", "")):
            return found
        return [item for item in found if not _SPECIAL_IN_QUOTES & set(item.value)]

    @staticmethod
    def _is_in_quotes(line: str) -> bool:
        return any(line.count(quote) % 2 for quote in "'\"")

    def format_completion(self, item: CompletionItem[str]) -> str:
        value = item.value
        line = os.environ.get("COMP_LINE", "")
        if not self._is_in_quotes(line):
            typed = self.get_completion_args()[1]
            breaks = os.environ.get("COMP_WORDBREAKS", BASH_WORD_BREAKS)
            last = max((typed.rfind(mark) for mark in breaks), default=-1)
            kept = last + (typed[last : last + 1] not in _WITHIN_WORD)
            if value[:kept].casefold() == typed[:kept].casefold():
                value = value[kept:]
            value = "".join(f"\\{c}" if c in _QUOTED_IN_BASH else c for c in value)
        return f"{item.type},{value}"


class _Zsh(ZshComplete):
    source_template = _ZSH


class _Fish(FishComplete):
    source_template = _FISH


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
for _name, _shell in SHELLS.items():
    add_completion_class(_shell, _name)


def script(shell: str, command: click.Command) -> str:
    """Return the script that makes a shell complete the words of a command."""
    found = SHELLS[shell](command, {}, "dragoman", VARIABLE)
    return found.source_template % found.source_vars()  # click's own source() starts a bash


def _look_up(find: str, incomplete: str, tenant: str | None = None) -> list[CompletionItem[str]]:
    """Return the names that begin so; none if they cannot be found, for whatever reason."""
    try:
        from dragoman.cli.handlers import names

        found = names.find(find, incomplete, tenant)
    except Exception:  # noqa: BLE001 - a message would disturb the line that is being typed
        return []
    return [
        CompletionItem(name, help=text or None)
        for name, text in found
        if name.isprintable() and text.isprintable()
    ]


def users(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return usernames and e-mail addresses that begin so."""
    return _look_up("users", incomplete)


def tenants(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return slugs of tenants that begin so."""
    return _look_up("tenants", incomplete)


def groups(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return names of groups that begin so, of the tenant that is named before."""
    return _look_up("groups", incomplete, ctx.params.get("tenant_slug"))


def contracts(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return names of contracts that begin so."""
    return _look_up("contracts", incomplete)


def permissions(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return codenames of permissions that begin so."""
    return _look_up("permissions", incomplete)
