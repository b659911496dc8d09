#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the wrappers of MPI's Fortran calls, of calls.list: each calls the wrapper in C.

fortran.py wrappers MPI OUTPUT COMPILER...  for the calls that this MPI declares. COMPILER: a C compiler with its options
fortran.py check MPI NM LIBRARY OTHERS...   fails if MPI's Fortran libraries, OTHERS, have a call that goes past LIBRARY

Open MPI's Fortran calls PMPI_ in C, so that all of it needs wrappers: mpi_send_ of mpif.h and `use mpi`, mpi_send_f08_ of
`use mpi_f08`, which pass their arguments alike. MPICH's calls MPI_ in C, except where `use mpi_f08` has no buffer to pass.
"""
import subprocess
import sys

import calls

# C type: what converts its handles, and none.
HANDLES = {
    "MPI_Comm": ("Comm", "MPI_COMM_NULL"), "MPI_Datatype": ("Type", "MPI_DATATYPE_NULL"),
    "MPI_Errhandler": ("Errhandler", "MPI_ERRHANDLER_NULL"),
    "MPI_File": ("File", "MPI_FILE_NULL"), "MPI_Group": ("Group", "MPI_GROUP_NULL"), "MPI_Info": ("Info", "MPI_INFO_NULL"),
    "MPI_Message": ("Message", "MPI_MESSAGE_NULL"), "MPI_Op": ("Op", "MPI_OP_NULL"), "MPI_Request": ("Request", "MPI_REQUEST_NULL"),
    "MPI_Session": ("Session", "MPI_SESSION_NULL"), "MPI_Win": ("Win", "MPI_WIN_NULL"),
}
NUMBERS = ("int", "MPI_Aint", "MPI_Count", "MPI_Offset")
LENGTHS = {"ranks": "wc_f_ranks", "sources": "wc_f_sources", "destinations": "wc_f_destinations"}
# Addresses that MPI gives back; other `void *` are buffers of the program's.
ADDRESSES = ("attribute_val", "baseptr", "buffer_addr", "extra_state")
BY_HAND = ("MPI_Init", "MPI_Init_thread", "MPI_Attr_get", "MPI_Attr_put", "MPI_Comm_get_attr", "MPI_Comm_set_attr", "MPI_Buffer_detach", "MPI_Grequest_start",
           "MPI_Comm_spawn", "MPI_Comm_spawn_multiple")


class Code:
    """One wrapper in the making: parameters, what is done before the call, its arguments, what is done after it."""

    def __init__(self):
        self.parameters, self.hidden, self.before, self.arguments, self.after = [], [], [], [], []


def number_of(parameter):
    """How many elements an array of handles or statuses has, in C."""
    if parameter.length in LENGTHS:
        return f"{LENGTHS[parameter.length]}(MPI_Comm_f2c(*comm))"
    return f"*{parameter.length}"


def handle(code, p):
    stem, null = HANDLES[p.small]
    if not p.out:
        code.parameters.append(f"const MPI_Fint *{p.name}")
        code.arguments.append(f"MPI_{stem}_f2c(*{p.name})")
        return
    code.parameters.append(f"MPI_Fint *{p.name}")
    code.before.append(f"{p.small} {p.name}_c = " + (f"MPI_{stem}_f2c(*{p.name})" if p.into else null) + ";")
    code.arguments.append(f"&{p.name}_c")
    code.after.append(("" if p.into else "if (rc == MPI_SUCCESS) ") + f"*{p.name} = MPI_{stem}_c2f({p.name}_c);")


def handles(code, p):
    stem, _ = HANDLES[p.small]
    n = number_of(p)
    if p.name.startswith("send"):  # ignored where the ranks send from where they receive
        n = f"wc_f_in_place(sendbuf) ? 0 : {n}"
    code.parameters.append(f"{'' if p.out else 'const '}MPI_Fint *{p.name}")
    code.before += [f"int {p.name}_n = {n};", f"{p.small} {p.name}_here[WC_F_FEW];",
                    f"{p.small} *{p.name}_c = wc_f_room({p.name}_here, {p.name}_n, sizeof *{p.name}_c);",
                    f"for (int i = 0; i < {p.name}_n; i++) {p.name}_c[i] = MPI_{stem}_f2c({p.name}[i]);"]
    code.arguments.append(f"{p.name}_c")
    if p.out:
        code.after.append(f"for (int i = 0; i < {p.name}_n; i++) {p.name}[i] = MPI_{stem}_c2f({p.name}_c[i]);")
    code.after.append(f"wc_f_done({p.name}_here, {p.name}_c);")


def status(code, p):
    code.parameters.append(f"void *{p.name}")
    code.before += [f"MPI_Status {p.name}_here;", f"MPI_Status *{p.name}_c = wc_f_status({p.name}, &{p.name}_here);"]
    code.arguments.append(f"{p.name}_c")
    code.after.append(f"wc_f_status_back({p.name}, {p.name}_c);")


def statuses(code, p, outcount):
    n = number_of(p)
    code.parameters.append(f"void *{p.name}")
    code.before += [f"MPI_Status {p.name}_here[WC_F_FEW];",
                    f"MPI_Status *{p.name}_c = wc_f_statuses({p.name}, {p.name}_here, {n});"]
    code.arguments.append(f"{p.name}_c")
    code.after.append(f"wc_f_statuses_back({p.name}, {p.name}_here, {p.name}_c, {outcount or n});")


def number(code, p):
    """Counts, indices, logicals, alone and as arrays: in C as in Fortran, but for what `position` and `logical` mean."""
    kind = {"logical": "MPI_Fint", "position": "MPI_Fint", "int": "MPI_Fint"}.get(p.large_or_small, p.large_or_small)
    code.parameters.append(f"{'' if p.out else 'const '}{kind} *{p.name}")
    if not p.out and p.length is None and not p.stars:
        code.arguments.append(f"*{p.name}")
    elif "weights" in p.name:
        code.arguments.append(f"wc_f_weights({p.name})")
    else:
        code.arguments.append(p.name)
    if p.small == "logical" and p.out:
        code.after.append(f"*{p.name} = *{p.name} != 0;")
    if p.small == "position" and p.length is None:
        code.after.append(f"*{p.name} += *{p.name} != MPI_UNDEFINED;")
    elif p.small == "position":
        code.after.append(f"for (int i = 0; i < wc_f_some(rc, outcount); i++) {p.name}[i]++;")


def string(code, p):
    code.parameters.append(f"const char *{p.name}")
    code.hidden.append(f"size_t {p.name}_length")
    code.before.append(f"char *{p.name}_c = wc_f_string({p.name}, {p.name}_length);")
    code.arguments.append(f"{p.name}_c")
    code.after.append(f"free({p.name}_c);")


def translate(call):
    code = Code()
    some = "wc_f_some(rc, outcount)" if any(p.name == "outcount" for p in call.parameters) else None
    for p in call.parameters:
        p.large_or_small = p.large if call.large else p.small
        array = p.length is not None
        if p.small == "MPI_Status":
            statuses(code, p, some) if array else status(code, p)
        elif p.small in HANDLES:
            handles(code, p) if array else handle(code, p)
        elif p.small == "void":
            code.parameters.append(f"void *{p.name}")
            code.arguments.append(p.name if p.name in ADDRESSES else f"wc_f_buffer({p.name})")
        elif p.small == "char" and p.stars == "*" and p.const:
            string(code, p)
        elif p.small in NUMBERS + calls.SAME_AS_INT:
            number(code, p)
        else:
            raise SystemExit(f"fortran.py does not know how Fortran passes {p.small} {p.stars}{p.name} of {call.name}")
    return code


def has_buffer(call):
    return any(p.small == "void" and p.name not in ADDRESSES for p in call.parameters)


def symbols(call, mpi):
    """The names under which the call is in MPI's Fortran libraries and goes past a wrapper in C."""
    stem = call.name.removesuffix("_c").lower()
    if mpi == "openmpi":
        names = [f"{stem}_", f"{stem}_f08_"]
        return names + [f"{stem}_cptr_"] if any(p.name == "baseptr" for p in call.parameters) else names
    return [] if has_buffer(call) else [f"{stem}_f08_large_" if call.large else f"{stem}_f08_"]


def definition(call, mpi):
    code = translate(call)
    name, *others = symbols(call, mpi)
    head = f"WC_EXPORT void {name}({', '.join(code.parameters + ['MPI_Fint *ierror'] + code.hidden)})"
    body = code.before + [f"int rc = {call.name}({', '.join(code.arguments)});"] + code.after + ["wc_f_error(ierror, rc);"]
    lines = [head + ";", head + " {", *("    " + line for line in body), "}"]
    return "\n".join(lines + [f"WC_ALSO({name}, {other})" for other in others]) + "\n\n"


def wrapped(names):
    """The calls that have a wrapper in C."""
    _, every = calls.read_list()
    return [c for c in every if c.treatment != "native" and c.name in names]


def wrappers(mpi, output, compiler):
    with open(output, "w") as f:
        f.write("/* Made by fortran.py of calls.list and mpi.h. */\n\n")
        for call in wrapped(calls.declared(compiler)):
            if call.name not in BY_HAND and symbols(call, mpi):
                f.write(definition(call, mpi))


def defined(nm, library):
    run = subprocess.run([nm, "-D", "--defined-only", library], text=True, capture_output=True, check=True)
    return {line.split()[-1].split("@")[0] for line in run.stdout.splitlines() if line}


def check(mpi, nm, library, *others):
    """For each wrapper in C of the library: its Fortran names that MPI has are the library's, too."""
    ours = defined(nm, library)
    theirs = set().union(*(defined(nm, other) for other in others))
    past = [s for c in wrapped(ours) for s in symbols(c, mpi) if s in theirs and s not in ours]
    if past or "mpi_send_" not in theirs:
        raise SystemExit(f"Fortran's calls that go past {library}: {' '.join(past) or 'none known'}")


def main():
    command, *rest = sys.argv[1:] or ["help"]
    if command == "wrappers" and len(rest) >= 3:
        wrappers(rest[0], rest[1], rest[2:])
    elif command == "check" and len(rest) >= 4:
        check(*rest)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
