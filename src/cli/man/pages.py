#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""pages.py WAVECUT DIRECTORY: writes the manual pages wavecut.1 and wavecut-COMMAND.1 there, made of what --help says and, where
there is one, of COMMAND.man beside this file: further sections, such as EXAMPLES, in the language of man."""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OPTION = re.compile(r"^ +(-\S(?:, )?)? *(--[a-z][a-z-]*(?:\[?=\S+\]?)?)?(?:  +(.*))?$")


def help_of(wavecut, *arguments):
    """One line for each paragraph."""
    environment = dict(os.environ, ARGP_HELP_FMT="rmargin=9999,no-dup-args-note", LC_ALL="C.UTF-8")
    return subprocess.run([wavecut, *arguments, "--help"], env=environment, check=True, capture_output=True, text=True).stdout


def parse(text):
    """What --help says, by parts: usages, the description, options as (short and long name, text), paragraphs behind them."""
    lines = text.splitlines()
    usages = []
    while re.match(r"Usage: +|  or: +", lines[0]):
        usages.append(re.sub(r"^(Usage:|  or:) +", "", lines.pop(0)))
    first = next(i for i, line in enumerate(lines) if line.startswith("  -") or line.startswith("      --"))
    end = next(i for i in range(first, len(lines)) if not lines[i])
    options = []
    for line in lines[first:end]:
        short, name, meaning = OPTION.match(line).groups()
        options.append(((short or "").strip(", "), name or "", meaning or ""))
    return usages, "\n".join(lines[:first]).strip(), options, "\n".join(lines[end:]).strip().split("\n\n")


def commands(paragraphs):
    """From --help of wavecut itself: (name and arguments, summary) of each command."""
    listing = next(p for p in paragraphs if p.startswith("Commands:"))
    return [re.match(r"  (\S.*?)  +(.*)$", line).groups() for line in listing.splitlines()[1:]]


# ---- the language of man ----

def escape(text):
    for character, name in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")):
        text = text.replace(character, name)
    return re.sub(r"^\.", r"\\&.", text, flags=re.M)


def paragraph(text):
    if text.startswith("  "):
        return f".PP\n.RS 4\n.nf\n{escape(re.sub('^  ', '', text, flags=re.M))}\n.fi\n.RE\n"
    return f".PP\n{escape(text)}\n"


def exit_status(text):
    """ "Exit status: 0 well; 1 damaged. waits: 5 a deadlock." as a list."""
    rows = []
    for row in re.split(r"; |\. (?=\S+: \d)", text[len("Exit status: "):].rstrip(".")):
        command, code, meaning = re.match(r"(?:(\S+): )?(\d+) (.*)$", row).groups()
        rows.append(f".TP\n.B {code}\n{escape(meaning)}{f' ({escape(command)})' if command else ''}\n")
    return ".SH EXIT STATUS\n" + "".join(rows)


def option(short, name, meaning):
    long, _, value = name.partition("=")
    names = ", ".join(f"\\fB{escape(n)}\\fR" for n in (short, long) if n)
    value = f"=\\fI{escape(value)}\\fR" if value else ""
    return f".TP\n{names}{value}\n{escape(meaning)}\n"


def synopsis(usages):
    lines = []
    for usage in usages:
        name = re.match(r"wavecut(?: [a-z][a-z-]*)?(?= |$)", usage).group(0)
        lines.append(f"\\fB{escape(name)}\\fR {escape(usage[len(name) + 1:])}")
    return ".SH SYNOPSIS\n" + "\n.br\n".join(lines) + "\n"


def settings(wavecut):
    """The table of them, with the names that they have in the file."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WAVECUT_")}
    told = subprocess.run([wavecut, "settings", "--json"], env=clean, check=True, capture_output=True, text=True).stdout
    rows = []
    for s in json.loads(told)["settings"]:
        where = "" if s["only_environment"] else f", in the file \\fB{escape(s['name'])}\\fR"
        default = f"; {s['default']} by default" if s["default"] else ""
        meaning = f"{s['meaning']} ({s['takes']}{default})"
        rows.append(f".TP\n\\fB{escape(s['variable'])}\\fR{where}\n{escape(meaning)}\n")
    return ".SH SETTINGS\n" + "".join(rows)


def page(name, version, summary, text, see, settings=""):
    usages, description, options, paragraphs = parse(text)
    out = [f'.TH {escape(name).upper()} 1 "" "{version}" "User Commands"\n.nh\n.ad l\n',
           f".SH NAME\n{escape(name)} \\- {escape(summary)}\n", synopsis(usages), f".SH DESCRIPTION\n{escape(description)}\n"]
    out += [paragraph(p) for p in paragraphs if p and not p.startswith(("Commands:", "Exit status:"))]
    if any(p.startswith("Commands:") for p in paragraphs):
        out.append(".SH COMMANDS\n" + "".join(
            f".TP\n\\fBwavecut {escape(called.partition(' ')[0])}\\fR {escape(called.partition(' ')[2])}\n{escape(what)}\n"
            for called, what in commands(paragraphs)))
    out.append(".SH OPTIONS\n" + "".join(option(*o) for o in options))
    out += [exit_status(p) for p in paragraphs if p.startswith("Exit status:")]
    out.append(settings)
    more = os.path.join(HERE, f"{name.removeprefix('wavecut-')}.man")
    if os.path.exists(more):
        with open(more) as f:
            out.append("".join(line for line in f if not line.startswith('.\\"')))
    out.append(".SH SEE ALSO\n" + ", ".join(f"\\fB{escape(s)}\\fR(1)" for s in see) + "\n")
    return "".join(out)


def main():
    wavecut, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    version = subprocess.run([wavecut, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    text = help_of(wavecut)
    all_commands = [(called.partition(" ")[0], what) for called, what in commands(parse(text)[3])]
    names = ["wavecut"] + [f"wavecut-{name}" for name, _ in all_commands]
    pages = {"wavecut": page("wavecut", version, "look at the snapshots of running MPI programs", text, names[1:])}
    for name, what in all_commands:
        table = settings(wavecut) if name == "settings" else ""
        pages[f"wavecut-{name}"] = page(f"wavecut-{name}", version, what, help_of(wavecut, name), names[:1], table)
    for name, source in pages.items():
        with open(os.path.join(directory, f"{name}.1"), "w") as f:
            f.write(source)


if __name__ == "__main__":
    main()
