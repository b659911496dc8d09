#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is made of calls.list.

calls.py wrappers OUTPUT COMPILER...    the calls of one shape that this MPI declares, for the macros of the sources; fails if it
                                        declares one that the list does not know. COMPILER: a C compiler with its options.
calls.py exports NM LIBRARY COMPILER... fails if the library lacks a wrapper that the list promises, or has one too many
calls.py table                          the list as Markdown, for CALLS.md
"""
import os
import re
import subprocess
import sys

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "calls.list")

# In the words of the table, and what they mean.
TREATMENTS = {
    "native": ("native", "MPI's alone: moves no message, makes no communicator, or only what another call here has begun"),
    "handled": ("handled", "followed. A message counts, and is in the snapshot where it is in flight"),
    "counted": ("counted", "collective: either all members have called it before the cut, or none has"),
    "window": ("no snapshot while a window exists", "an attempt is void, with the name of the call that made the newest one"),
    "split": ("no snapshot while it is under way", "an attempt is void between `_begin` and `_end`, with the name of the call"),
    "grequest": ("no snapshot while its request exists", "an attempt is void, with the name of the call"),
    "connected": ("no snapshot while connected", "an attempt is void while there is a communicator with other processes, "
                  "with the name of the call that made it"),
    "after": ("no snapshot after it", "attempts are void from the first use on, with the name of the call"),
}
SHAPES = ("hand", "waits", "plain", "opens", "closes", "connects", "collective", "file", "alone", "begins", "ends")
SAME_AS_INT = ("logical", "position")


class Parameter:
    """`inout const TYPE *name[length]`; `small` and `large` are the C types without and with _c."""

    def __init__(self, text):
        match = re.fullmatch(r"(inout )?(const )?([\w/]+) (\**)(\w+)(\[\w*\])?", text)
        if not match:
            raise SystemExit(f"calls.list: a parameter that makes no sense: {text}")
        inout, const, kind, self.stars, self.name, brackets = match.groups()
        self.const = const or ""
        self.kind = kind
        self.small, _, self.large = kind.partition("/")
        self.large = self.large or self.small
        self.length = brackets[1:-1] if brackets else None
        pointer = bool(self.stars or brackets)
        self.out = pointer and not const
        self.into = not self.out or bool(inout)

    def declare(self, large):
        kind = self.large if large else self.small
        kind = "int" if kind in SAME_AS_INT else kind
        return f"{self.const}{kind} {self.stars}{self.name}{'[]' if self.length is not None else ''}"


class Call:
    """One function of MPI. `large`: it is a variant with _c."""

    def __init__(self, section, heading, version, name, parameters, large=False):
        self.section, self.version, self.name, self.large = section, version, name, large
        self.treatment, _, self.shape = heading.partition(" ")
        self.parameters = parameters

    def declaration(self):
        return ", ".join(p.declare(self.large) for p in self.parameters) or "void"

    def arguments(self):
        return ", ".join(p.name for p in self.parameters)

    def starts(self):
        return any(p.small == "MPI_Request" and p.stars and p.out and not p.into for p in self.parameters)


def expand(section, heading, version, text):
    """The calls that an entry of the list stands for."""
    if heading == "native":
        for name in text.split():
            plain = name.removesuffix("[_c]")
            yield Call(section, heading, version, plain, None)
            if plain != name:
                yield Call(section, heading, "4.0", plain + "_c", None, True)
        return
    name, _, rest = text.partition("(")
    rest = rest.removesuffix(")")
    parameters = [] if rest == "void" else [Parameter(p) for p in rest.split(", ")]
    forms = [(heading, version, name, parameters)]
    if heading == "counted collective":
        request, info = Parameter("MPI_Request *request"), Parameter("MPI_Info info")
        forms.append((heading, version, "MPI_I" + name[4].lower() + name[5:], parameters + [request]))
        forms.append(("after init", "4.0", name + "_init", parameters + [info, request]))
    for heading_, version_, name_, parameters_ in forms:
        yield Call(section, heading_, version_, name_, parameters_)
        if any("/" in p.kind for p in parameters_):
            yield Call(section, heading_, "4.0", name_ + "_c", parameters_, True)


def read_list():
    """({section: text}, [Call])"""
    sections, calls, section, heading, version = {}, [], None, None, ""
    with open(LIST) as f:
        text = re.sub(r"\n {8}", " ", f.read())
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("= "):
            section = line[2:]
            sections[section] = ""
        elif line.startswith(": "):
            sections[section] += line[2:] + "\n"
        elif not line.startswith("    "):
            heading = line
            treatment, _, shape = heading.partition(" ")
            if treatment not in TREATMENTS or (shape not in SHAPES and heading != "native"):
                raise SystemExit(f"calls.list: a heading that makes no sense: {heading}")
        else:
            version, _, rest = line.strip().partition(" ")
            known = re.fullmatch(r"\d\.\d", version)
            calls += expand(section, heading, version if known else "", rest if known else line.strip())
    names = [c.name for c in calls]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise SystemExit(f"calls.list has more than once: {' '.join(sorted(twice))}")
    return sections, calls


def declared(compiler, options=()):
    """The functions MPI_... that mpi.h declares, by the preprocessed text."""
    command = [*compiler, *options, "-E", "-P", "-x", "c", "/dev/stdin"]
    run = subprocess.run(command, input="#include <mpi.h>\n", text=True, capture_output=True)
    if run.returncode:
        raise SystemExit(f"{' '.join(compiler)} can't read mpi.h:\n{run.stderr}")
    text = re.sub(r"__attribute__\s*\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)", " ", run.stdout)
    names = set()
    for statement in re.split(r"[;{}]", text):
        match = re.match(r"\s*\w[\w\s*]*\b(MPI_\w+)\s*\(", statement)
        if match and not statement.lstrip().startswith("typedef"):
            names.add(match.group(1))
    if "MPI_Send" not in names:
        raise SystemExit("calls.py finds no declarations in this mpi.h")
    return names


def large_counts(call):
    """(its name in C without _c, arguments, (count, type)...) for a variant that converts its counts."""
    counts = [p for p in call.parameters if p.kind == "int/MPI_Count"]
    types = [p for p in call.parameters if p.small == "MPI_Datatype"]
    return [(c.name, t.name) for c, t in zip(counts, types, strict=True)]


def macro_name(call):
    if call.shape == "hand":
        return f"WC_LARGE_{len(large_counts(call))}" if call.large else None
    name = f"WC_{call.treatment}_{call.shape}".upper()
    return name + "_STARTS" if call.starts() and call.shape != "init" else name


def macro_line(call):
    if call.shape != "hand":
        return f"X({call.name[4:]}, ({call.declaration()}), ({call.arguments()}))"
    pairs = large_counts(call)
    arguments = call.arguments()
    for number, (count, kind) in enumerate(pairs):
        arguments = re.sub(rf"\b{count}, {kind}\b", f"large[{number}].count, large[{number}].type", arguments)
    flat = ", ".join(f"{count}, {kind}" for count, kind in pairs)
    return f"X({call.name[4:-2]}, ({call.declaration()}), ({arguments}), {flat})"


def wrappers(output, compiler):
    _, calls = read_list()
    names = declared(compiler, ("-MD", "-MF", output + ".d", "-MT", output))
    unknown = names - {c.name for c in calls}
    if unknown:
        raise SystemExit(f"calls.list does not know what this MPI declares: {' '.join(sorted(unknown))}")
    lists = {}
    for call in calls:
        name = macro_name(call) if call.treatment != "native" else None
        if name:
            lists.setdefault(name, []).extend([macro_line(call)] if call.name in names else [])
    with open(output, "w") as f:
        f.write("/* Made by calls.py of calls.list and mpi.h. */\n")
        for name in sorted(lists):
            f.write(f"#define {name}(X)" + "".join(f" \\\n    {line}" for line in lists[name]) + "\n")
        for call in calls:
            if call.shape == "hand" and call.version and call.name in names:
                f.write(f"#define WC_HAVE_{call.name[4:]} 1\n")


def exports(nm, library, compiler):
    _, calls = read_list()
    run = subprocess.run([nm, "-D", "--defined-only", library], text=True, capture_output=True, check=True)
    exported = {line.split()[-1].split("@")[0] for line in run.stdout.splitlines() if line}
    exported = {name for name in exported if name.startswith("MPI_")}
    wrapped = {c.name for c in calls if c.treatment != "native"}
    missing = (wrapped & declared(compiler)) - exported
    if missing:
        raise SystemExit(f"{library} has no wrapper for {' '.join(sorted(missing))}")
    if exported - wrapped:
        raise SystemExit(f"{library} wraps what calls.list does not: {' '.join(sorted(exported - wrapped))}")


def shown(call, names):
    name = f"`{call.name}[_c]`" if call.name + "_c" in names else f"`{call.name}`"
    return f"{name} ({call.version})" if call.version else name


def table():
    sections, calls = read_list()
    names = {c.name for c in calls}
    print("# What Wavecut does with MPI's calls\n")
    print("Made by `calls.py table` of [calls.list](calls.list), from which the build makes and checks the wrappers, too. `[_c]`: and its\n"
          "variant for large counts (MPI 4.0). A number: the version of MPI that brought it, where that is above 3.1.\n")
    print("| | |\n|---|---|")
    for words, meaning in TREATMENTS.values():
        print(f"| {words} | {meaning} |")
    for section, text in sections.items():
        print(f"\n## {section}\n")
        if text:
            print(text)
        print("| what | calls |\n|---|---|")
        for treatment, (words, _) in TREATMENTS.items():
            row = [shown(c, names) for c in calls
                   if c.section == section and c.treatment == treatment and not (c.large and c.name[:-2] in names)]
            if row:
                print(f"| {words} | {', '.join(row)} |")


def main():
    command, *rest = sys.argv[1:] or ["help"]
    if command == "wrappers" and len(rest) >= 2:
        wrappers(rest[0], rest[1:])
    elif command == "exports" and len(rest) >= 3:
        exports(rest[0], rest[1], rest[2:])
    elif command == "table" and not rest:
        table()
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
