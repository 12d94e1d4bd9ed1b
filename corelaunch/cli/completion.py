"""Completion for bash, zsh and fish from the same tables as the parser; made when the package is built."""

from __future__ import annotations

from .manual import PROGRAM
from .options import FLAG, Option
from .top_table import ORDERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .command import Command

#: What the value of an option is, by the word that stands for it in the help text, or by the option's name.
_FILES = ("path", "file")
_DIRECTORIES = ("dir",)
_CHOICES = {
    "format": "table json",
    "log-format": "text json",
    "rootless": "true false auto",
    "sort": " ".join(ORDERS),
}

_SIGNALS = "TERM KILL HUP INT QUIT USR1 USR2 STOP CONT WINCH"


def bash(global_options: Sequence[Option], commands: Mapping[str, Command]) -> str:
    """A script for bash; it needs nothing of the bash-completion package."""
    cases = [_bash_case("''", global_options, "commands")]
    cases += [_bash_case(name, (*command.options, _HELP), _arguments(command)) for name, command in commands.items()]
    with_value = _case_pattern(global_options)
    every = [option for command in commands.values() for option in command.options] + list(global_options)
    choices = ""
    for name, words in _CHOICES.items():
        spelt = dict.fromkeys(word for option in every if option.name == name for word in _words(option))
        choices += f"    {' | '.join(spelt)}) choices='{words}' ;;\n"
    return _BASH.format(
        program=PROGRAM,
        global_values=with_value,
        cases="".join(cases),
        commands=" ".join(["help", *commands]),
        prefix=PREFIX,
        prefix_values=_case_pattern(commands[PREFIX].options),
        signals=_SIGNALS,
        choices=choices,
    )


def zsh(global_options: Sequence[Option], commands: Mapping[str, Command], summaries: Mapping[str, str]) -> str:
    """A function for zsh's completion system."""
    listed = "\n".join(f"        {_quote(f'{name}:{summary}')}" for name, summary in summaries.items())
    cases = ""
    for name, command in commands.items():
        arguments = [spec.format(commands=" ".join(commands)) for spec in _ZSH_ARGUMENTS[_arguments(command)]]
        specs = [*_zsh_specs((*command.options, _HELP)), *arguments]
        cases += f"    {name})\n        _arguments {' '.join(map(_quote, specs))}\n        ;;\n"
    return _ZSH.format(
        program=PROGRAM,
        global_specs=" ".join(map(_quote, _zsh_specs(global_options))),
        commands=listed,
        cases=cases,
    )


def fish(global_options: Sequence[Option], commands: Mapping[str, Command], summaries: Mapping[str, str]) -> str:
    """A script for fish."""
    lines = [_FISH.format(program=PROGRAM)]
    first = "__fish_use_subcommand"
    lines += [_fish_option(option, first) for option in global_options if option.shown]
    for name, command in commands.items():
        lines.append(f"complete -c {PROGRAM} -f -n {first} -a {name} -d {_quote(summaries[name])}\n")
        here = _quote(f"__fish_seen_subcommand_from {name}")
        lines += [_fish_option(option, here) for option in (*command.options, _HELP) if option.shown]
        if _arguments(command) in ("container", "containers", "signal"):
            lines.append(f"complete -c {PROGRAM} -f -n {here} -a '(__{PROGRAM}_containers)'\n")
        elif name == PREFIX:
            others = " ".join(other for other in commands if other != PREFIX)
            first_verb = _quote(f"__fish_seen_subcommand_from {PREFIX}; and not __fish_seen_subcommand_from {others}")
            lines.append(f"complete -c {PROGRAM} -f -n {first_verb} -a {_quote(others)}\n")
    return "".join(lines)


_HELP = Option("help h", "print this help", FLAG)

#: The command after which another one stands.
PREFIX = "trace"


def _arguments(command: Command) -> str:
    """What a command's arguments are: one "container", "signal" after it, "containers", "commands", or "none"."""
    if command.name == PREFIX:
        return "commands"
    if command.arguments == "[container-id...]":
        return "containers"
    known = command.arguments.startswith("<container-id>") and command.name not in ("create", "run")
    if not known:
        return "none"
    return "signal" if "signal" in command.arguments else "container"


def _words(option: Option) -> list[str]:
    return [("--" if len(name) > 1 else "-") + name for name in option.names.split(" ")]


def _case_pattern(options: Iterable[Option]) -> str:
    """A pattern of bash's ``case`` for options with a value."""
    return "|".join(word for option in options if option.kind is not FLAG for word in _words(option))


def _all_words(options: Iterable[Option]) -> str:
    return " ".join(word for option in options for word in _words(option))


def _bash_case(pattern: str, options: Sequence[Option], arguments: str) -> str:
    shown = [option for option in options if option.shown]
    values = [option for option in shown if option.kind is not FLAG]
    return (
        f"    {pattern})\n"
        f"        options='{_all_words(shown)}'\n"
        f"        values=' {_all_words(values)} '\n"
        f"        files=' {_all_words(o for o in values if o.metavar in _FILES)} '\n"
        f"        directories=' {_all_words(o for o in values if o.metavar in _DIRECTORIES)} '\n"
        f"        arguments={arguments}\n"
        "        ;;\n"
    )


def _quote(text: str) -> str:
    """In single quotes, as all three shells read them."""
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_specs(options: Iterable[Option]) -> list[str]:
    specs = []
    for option in options:
        if not option.shown:
            continue
        text = option.help.replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
        value = "" if option.kind is FLAG else f":{option.metavar}:{_zsh_action(option)}"
        specs += [f"*{word}[{text}]{value}" for word in _words(option)]
    return specs


def _zsh_action(option: Option) -> str:
    if option.name in _CHOICES:
        return f"({_CHOICES[option.name]})"
    return "_files" if option.metavar in _FILES else "_files -/" if option.metavar in _DIRECTORIES else " "


def _fish_option(option: Option, condition: str) -> str:
    names = "".join(f" -l {name}" if len(name) > 1 else f" -s {name}" for name in option.names.split(" "))
    value = ""
    if option.kind is not FLAG:
        value = " -r" if option.metavar in (*_FILES, *_DIRECTORIES) else " -x"
        if option.name in _CHOICES:
            value += f" -a '{_CHOICES[option.name]}'"
    return f"complete -c {PROGRAM} -n {condition}{names}{value} -d {_quote(option.help)}\n"


_ZSH_ARGUMENTS = {
    "none": ("*:argument:_files",),
    "commands": ("1:command:({commands})", "*:argument:_files"),
    "container": (f"1:container:_{PROGRAM}_containers", "*:argument:_default"),
    "containers": (f"*:container:_{PROGRAM}_containers",),
    "signal": (f"1:container:_{PROGRAM}_containers", "2:signal:_signals"),
}

_BASH = """\
# bash completion for {program}; made from the parser's tables.
_{program}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command='' root='' read='' word i position=0
    local options='' values='' files='' directories='' arguments='' words='' choices=''
    COMPREPLY=()
    # "--option=value" comes in three words.
    if [[ $cur == '=' ]]; then
        cur=''
    elif [[ $prev == '=' ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        if [[ $command == {prefix} && -z $read ]]; then
            case $word in
            {prefix_values})
                [[ $word == --read || $word == -r ]] && read=1
                [[ ${{COMP_WORDS[i + 1]}} == '=' ]] && ((i += 1))
                ((i += 1))
                ;;
            -* | '=') ;;
            *) command=$word ;;
            esac
            continue
        fi
        if [[ -n $command ]]; then
            [[ $word == -* || $word == '=' ]] || ((position += 1))
            continue
        fi
        case $word in
        {global_values})
            [[ ${{COMP_WORDS[i + 1]}} == '=' ]] && ((i += 1))
            ((i += 1))
            [[ $word == --root ]] && root=${{COMP_WORDS[i]}}
            ;;
        -* | '=') ;;
        *) command=$word ;;
        esac
    done
    case $command in
{cases}    *) return ;;
    esac
    case $prev in
{choices}    esac
    if [[ $values == *" $prev "* ]]; then
        if [[ -n $choices ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
        elif [[ $files == *" $prev "* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        elif [[ $directories == *" $prev "* ]]; then
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        fi
        return
    fi
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        return
    fi
    case $arguments in
    commands) words='{commands}' ;;
    container | containers | signal)
        if ((position == 0)) || [[ $arguments == containers ]]; then
            words=$("${{COMP_WORDS[0]}}" ${{root:+--root "$root"}} list -q 2>/dev/null)
        elif [[ $arguments == signal ]]; then
            words='{signals}'
        fi
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}}
complete -o filenames -F _{program} {program}
"""

_ZSH = """\
#compdef {program}
# zsh completion for {program}; made from the parser's tables.
_{program}_containers() {{
    local -a containers
    containers=(${{(f)"$($words_of_{program} list -q 2>/dev/null)"}})
    compadd -a containers
}}

_{program}() {{
    local curcontext="$curcontext" state line words_of_{program}=$words[1]
    local -a commands
    _arguments -C {global_specs} '1:command:->command' '*::argument:->argument' && return
    case $state in
    command)
        commands=(
{commands}
        )
        _describe command commands
        ;;
    argument)
        case $words[1] in
{cases}        esac
        ;;
    esac
}}

_{program} "$@"
"""

_FISH = """\
# fish completion for {program}; made from the parser's tables.
function __{program}_containers
    {program} list -q 2>/dev/null
end
"""
