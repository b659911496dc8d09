# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate faults in the protocol and the wrappers. Each is a few replacements in one file of src, and is found by the
simulation within so many seeds: name, file, [(from, to), ...], seeds."""

PULLED, COUNTED, FRAME = "core/pulled.c", "core/counted.c", "core/frame.c"

MUTATIONS = [
    # traps of MPI
    ("a message from behind the marker completes into a posted receive (T2)", PULLED,
     [("if (!core->config.break_take_back && !core->outside) {", "if (false) {"),
      ("if (!core->armed || core->outside || core->config.break_take_back)", "if (true)")], 1000),
    ("a marker is swallowed by ANY_TAG inside a barrier (T3)", PULLED,
     [("core->port.post_marker_receives(core->port.context, comm, open_channels(core, comm));",
       "core->port.post_marker_receives(core->port.context, comm, 0);")], 1000),
    ("receives are posted again out of order (T3b)", PULLED,
     [("    *core->soft_end = r;\n    core->soft_end = &r->next;",
       "    r->next = core->soft;\n    core->soft = r;\n    core->soft_end = r->next ? core->soft_end : &r->next;")], 1000),
    ("receives are taken back oldest first", PULLED,
     [("return x->order < y->order ? 1 : -1;", "return x->order < y->order ? -1 : 1;"),
      ("            r->next = queue;\n            queue = r;",
       "            wc_recv **end = &queue;\n            while (*end)\n                end = &(*end)->next;\n"
       "            r->next = NULL;\n            *end = r;")], 5000),
    ("a receive that MPI has matched counts as taken back", "mpi/port.c",
     [("if (!cancelled || recv->cancelled)", "if (recv->cancelled)")], 1000),
    ("a receive that the application has cancelled is not waited for", PULLED,
     [("bool ours = !r->handed &&", "bool ours = !r->cancelled && !r->handed &&")], 20000),
    ("too few receives for markers inside a barrier", PULLED,
     [("int n = comm->size;", "int n = comm->size - 1;")], 5000),

    # the frame
    ("a request number is ignored", FRAME, [("    if (attempt > core->heard)\n        join", "    join")], 1000),
    ("B is entered before the markers are received", FRAME,
     [("if (!core->b_entered && !core->port.markers_received(context))", "if (false)")], 1000),
    ("no vote at the commit", FRAME,
     [("core->port.enter(core->port.context, WC_PHASE_COMMIT, &core->vote);",
       "wc_vote none = wc_vote_neutral();\n    core->port.enter(core->port.context, WC_PHASE_COMMIT, &none);")], 1000),
    ("collectives are not compared", FRAME, [("    uint64_t sum = 0;\n    for (const wc_comm",
                                              "    uint64_t sum = 0;\n    return 0;\n    for (const wc_comm")], 5000),
    ("requests that are open at the record are overlooked", "mpi/port.c",
     [("    if (L.core.config.requests_allowed ||", "    if (true ||")], 5000),
    ("a rank that is late records where it is", FRAME,
     [("        wc_core_void(core, WC_REASON_LATE, -1, -1, NULL);", "        ;")], 5000),
    ("finalize does not wait for what others have heard", "mpi/life.c",
     [("while (L.core.finished < last || wc_core_busy(&L.core) || L.hooks.busy())",
       "while (wc_core_busy(&L.core) || L.hooks.busy())")], 5000),

    # pulled
    ("no lazy marker", PULLED, [("    if (!c->marked)\n        core->port.send_marker", "    if (false)\n        core->port.send_marker")],
     1000),
    ("no tentative drop", PULLED, [("    drop_tentative(core);\n    release_held(core);", "    release_held(core);")], 1000),
    ("a held message is handed over before the record", PULLED, [("m->held = channel->closed;", "m->held = false;")], 1000),
    ("the stash is not recorded", PULLED,
     [("            if (!m->held)\n                add_to_cut(core, m);", "            ;")], 1000),
    ("what MPI had matched at the record is not recorded", PULLED, [("        log_native(core);\n", "")], 1000),
    ("the stash receives at once, synchronous sends or not", PULLED,
     [("    if (m->in_cut && !core->sync_sends)\n        core->port.receive_aside", "    if (true)\n        core->port.receive_aside")],
     5000),
    ("receives stay in software across a barrier", PULLED,
     [("    if (!core->armed || !core->soft)\n        return;\n    core->outside", "    if (true)\n        return;\n    core->outside")],
     1000),
    ("a marker and a match inside a barrier have an order", PULLED,
     [("if (came || may_have_matched(matched, n, comm, sources[i]))", "if (false)")], 5000),
    ("what MPI matched behind a marker inside a blocking call is not held", PULLED,
     [("    if (!has_recorded(core))\n        void_held_matched", "    if (false)\n        void_held_matched")], 5000),
    ("tags matched inside a blocking call have an order", PULLED,
     [("        void_unordered(core, matched, n);\n    }\n", "    }\n")], 5000),
    ("a full stash stops the pull though a receive waits", PULLED, [("while ((core->soft || core->probing ||", "while ((core->probing ||")],
     20000),
    ("a record inside a receive, whatever came between", "mpi/layer.h",
     [("    L.core.recordable = false;\n    if (L.way != WC_WAY_SLOW)", "    if (L.way != WC_WAY_SLOW)")], 5000),

    # counted
    ("streams are counted in hand-over order", COUNTED,
     [("m->index = core->config.break_order ? stream->handed + 1 : r->index;", "m->index = stream->handed + 1;")], 5000),
    ("counts are not carried over a cut", COUNTED, [("    if (core->config.break_carry)\n", "")], 1000),
    ("the log is not trimmed by the marker", COUNTED, [("        if (m->index > s->known) {", "        if (false) {")], 1000),
    ("wildcards are resolved too early", COUNTED,
     [("            while (earlier != s && !blocks(earlier, s))", "            while (earlier != s)")], 5000),

    # wrappers
    ("Comm_free is passed on in the window", "mpi/comm.c", [("    if (L.immediate) {\n        L.freed_comms++;", "    if (false) {\n        L.freed_comms++;")],
     5000),
    ("a communicator that is let go of is marked", FRAME, [("if (core->config.immediate && !c->comm->freed)", "if (core->config.immediate)")],
     20000),
    ("a receive of the fast way is counted twice when it is looked after", "mpi/request.c", [("        s->handed--;\n", "")], 1000),
    ("the status shows the library's own message", "mpi/request.c", [("    if (r->recv.message) {\n        status->MPI_SOURCE", "    if (false) {\n        status->MPI_SOURCE")],
     5000),
    ("an aligned program that tests in a loop is not looked after", "mpi/layer.h",
     [("if (L.immediate || L.core.bound_count)", "if (L.immediate)")], 30000),
    ("Sendrecv does not count what it sends", "mpi/receive.c", [("        b->out->sent++;", "        ;")],
     5000),
    ("a blocking send does not pull", "mpi/send.c", [("    return L.core.armed;\n}", "    return false;\n}")], 5000),
]
