! SPDX-License-Identifier: BSD-3-Clause
!
! Calls of MPI from Fortran, by mpif.h, `use mpi` or `use mpi_f08`: each does what it is to do, also while snapshots are taken,
! and each message is counted: the program counts itself, and protects its counts, so that the file can be compared.
!   calls ROUNDS aligned|immediate
! At each safe point messages of all kinds are under way, so that they are in each snapshot. The macros make the three ways one: RAW is a handle as an integer, FIELD one of a status, IE the last argument, which
! mpi_f08 may leave out.
#ifdef WITH_F08
#define COMM type(MPI_Comm)
#define REQUEST type(MPI_Request)
#define DATATYPE type(MPI_Datatype)
#define FILE_HANDLE type(MPI_File)
#define MESSAGE type(MPI_Message)
#define STATUS(name) type(MPI_Status) :: name
#define STATUSES(name, n) type(MPI_Status) :: name(n)
#define FIELD(status, field) status%field
#define FIELD_OF(statuses, i, field) statuses(i)%field
#define RAW(handle) handle%MPI_VAL
#define IE
#else
#define COMM integer
#define REQUEST integer
#define DATATYPE integer
#define FILE_HANDLE integer
#define MESSAGE integer
#define STATUS(name) integer :: name(MPI_STATUS_SIZE)
#define STATUSES(name, n) integer :: name(MPI_STATUS_SIZE, n)
#define FIELD(status, field) status(field)
#define FIELD_OF(statuses, i, field) statuses(field, i)
#define RAW(handle) handle
#define IE , ierr
#endif
! A generalized request's functions.
module operations
#if defined(WITH_F08)
    use mpi_f08
#elif defined(WITH_MPI)
    use mpi
#endif
    implicit none
#if defined(WITH_MPIFH)
    include "mpif.h"
#endif
    integer :: told = 0

contains

    subroutine query_operation(extra_state, status, ierror)
        integer(kind=MPI_ADDRESS_KIND) :: extra_state
        STATUS(status)
        integer :: ierror
        call MPI_Status_set_elements(status, MPI_INTEGER, 0, ierror)
        call MPI_Status_set_cancelled(status, .false., ierror)
        FIELD(status, MPI_SOURCE) = MPI_UNDEFINED
        FIELD(status, MPI_TAG) = int(extra_state)
        told = told + 1
        ierror = MPI_SUCCESS
    end subroutine

    subroutine free_operation(extra_state, ierror)
        integer(kind=MPI_ADDRESS_KIND) :: extra_state
        integer :: ierror
        if (extra_state == 42) told = told + 1
        ierror = MPI_SUCCESS
    end subroutine

    subroutine cancel_operation(extra_state, complete, ierror)
        integer(kind=MPI_ADDRESS_KIND) :: extra_state
        logical :: complete
        integer :: ierror
        if (extra_state == 42 .and. .not. complete) told = told + 1
        ierror = MPI_SUCCESS
    end subroutine
end module

program calls
    use operations, only: told, query_operation, free_operation, cancel_operation
#if defined(WITH_F08)
    use mpi_f08
#elif defined(WITH_MPI)
    use mpi
#endif
    use wavecut
    implicit none
#if defined(WITH_MPIFH)
    include "mpif.h"
#endif
    integer, parameter :: FLYING = 5 ! messages that each rank has under way at a safe point
    integer :: rank, ranks, next, before, ierr, rounds, i
    integer :: buffer(4096)
    integer, target :: now(1) = 1
    integer(c_int64_t), allocatable, target :: sent(:), received(:)
    integer(c_int) :: restarted
    character(len=16) :: argument, mode
    logical :: immediate

    call get_command_argument(1, argument)
    read (argument, *) rounds
    call get_command_argument(2, mode)
    immediate = mode == "immediate"
    call MPI_Init(ierr)
    call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
    call MPI_Comm_size(MPI_COMM_WORLD, ranks, ierr)
    next = mod(rank + 1, ranks)
    before = mod(rank + ranks - 1, ranks)
    call MPI_Buffer_attach(buffer, 4 * size(buffer) IE)
    allocate (sent(0:ranks - 1), received(0:ranks - 1))
    sent = 0
    received = 0
    call begin()
    if (restarted /= 0) call check_came_back()
    do i = now(1), rounds
        now = i
        if (restarted == 0) call send_all_kinds()
        call safepoint()
        call receive_all_kinds()
        restarted = 0
        call sends_and_receives()
        call completions()
        ! Immediate cuts want as many collectives on each rank.
        if (immediate .and. mod(i, 50) /= 0) cycle
        call collectives()
        call topologies()
        call files()
    end do
    call persistent()
    call matched()
    call attributes()
    call generalized()
    call expect(wavecut_finalize() == WAVECUT_OK, "wavecut_finalize")
    call MPI_Finalize(ierr)

contains

    subroutine expect(right, what)
        logical, intent(in) :: right
        character(len=*), intent(in) :: what
        integer :: ierror
        if (right) return
        print "(a, i0, 3a, i0)", "WRONG on rank ", rank, ": ", what, ", step ", now(1)
        flush (6)
        call MPI_Abort(MPI_COMM_WORLD, 1, ierror)
    end subroutine

    subroutine protect(name, array)
        character(len=*), intent(in) :: name
        integer(c_int64_t), intent(in), target, contiguous :: array(:)
        call expect(wavecut_protect(name, c_loc(array), size(array, kind=c_size_t), RAW(MPI_INTEGER8)) == WAVECUT_OK, name)
    end subroutine

    subroutine begin()
        integer(c_size_t) :: count
        integer :: type
        character(len=200) :: text
        call expect(wavecut_safepoint() == WAVECUT_ERR_ORDER, "a safe point before wavecut_init")
        call wavecut_error_text(text)
        call expect(index(text, "wavecut_safepoint belongs") == 1, text)
        call wavecut_status_name(WAVECUT_ERR_CALLBACK, text)
        call expect(text == "WAVECUT_ERR_CALLBACK", text)
        call expect(wavecut_init(RAW(MPI_COMM_WORLD)) == WAVECUT_OK, "wavecut_init")
        call expect(wavecut_cut(merge(WAVECUT_IMMEDIATE, WAVECUT_ALIGNED, immediate)) == WAVECUT_OK, "wavecut_cut")
        call protect("sent", sent)
        call protect("received ", received)
        call expect(wavecut_protect("no good", c_loc(now), 1_c_size_t, RAW(MPI_INTEGER)) == WAVECUT_ERR_NAME, "a blank in a name")
        call expect(wavecut_protect(repeat("x", 256), c_loc(now), 1_c_size_t, RAW(MPI_INTEGER)) == WAVECUT_ERR_NAME, "a long name")
        call expect(wavecut_protect("now", c_loc(now), 1_c_size_t, RAW(MPI_INTEGER)) == WAVECUT_OK, "wavecut_protect")
        if (wavecut_stored("sent", count, type) == WAVECUT_OK) &
            call expect(count == ranks .and. type /= RAW(MPI_DATATYPE_NULL), "wavecut_stored")
        call expect(wavecut_restore(restarted) == WAVECUT_OK, "wavecut_restore")
    end subroutine

    subroutine safepoint()
        call expect(wavecut_safepoint() == WAVECUT_OK, "wavecut_safepoint")
    end subroutine

    subroutine count_ring(n)
        integer, intent(in) :: n
        sent(next) = sent(next) + n
        received(before) = received(before) + n
    end subroutine

    ! ---- blocking and nonblocking ----

    subroutine sends_and_receives()
        integer :: x(3), count, other(3)
        integer, volatile :: y(3) ! MPI writes it between the calls that name it
        logical :: flag
        REQUEST :: requests(2)
        STATUS(status)
        STATUSES(statuses, 2)
        x = [rank, now(1), 7]
        call MPI_Irecv(y, 3, MPI_INTEGER, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, requests(1) IE)
        call MPI_Isend(x, 3, MPI_INTEGER, next, 1, MPI_COMM_WORLD, requests(2) IE)
        call MPI_Waitall(2, requests, statuses IE)
        call expect(all(y == [before, now(1), 7]), "Irecv")
        call expect(FIELD_OF(statuses, 1, MPI_SOURCE) == before .and. FIELD_OF(statuses, 1, MPI_TAG) == 1, "Waitall's status")
        call expect(requests(1) == MPI_REQUEST_NULL .and. requests(2) == MPI_REQUEST_NULL, "Waitall's requests")
        call MPI_Bsend(x, 3, MPI_INTEGER, next, 2, MPI_COMM_WORLD IE)
        call MPI_Probe(before, MPI_ANY_TAG, MPI_COMM_WORLD, status IE)
        call MPI_Get_count(status, MPI_INTEGER, count IE)
        call expect(count == 3 .and. FIELD(status, MPI_TAG) == 2, "Probe")
        call MPI_Recv(y, 3, MPI_INTEGER, before, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE IE)
        call MPI_Irecv(y, 3, MPI_INTEGER, before, 3, MPI_COMM_WORLD, requests(1) IE)
        call MPI_Sendrecv(x, 1, MPI_INTEGER, before, 9, other, 1, MPI_INTEGER, next, 9, MPI_COMM_WORLD, status IE) ! it is posted
        call MPI_Rsend(x, 3, MPI_INTEGER, next, 3, MPI_COMM_WORLD IE)
        call MPI_Wait(requests(1), status IE)
        sent(before) = sent(before) + 1
        received(next) = received(next) + 1
        call MPI_Irecv(y, 3, MPI_INTEGER, before, 4, MPI_COMM_WORLD, requests(1) IE)
        call MPI_Ssend(x, 3, MPI_INTEGER, next, 4, MPI_COMM_WORLD IE)
        call MPI_Wait(requests(1), MPI_STATUS_IGNORE IE)
        call expect(all(y == [before, now(1), 7]), "Ssend")
        call MPI_Sendrecv(x, 3, MPI_INTEGER, next, 5, other, 3, MPI_INTEGER, before, 5, MPI_COMM_WORLD, status IE)
        call expect(all(other == y) .and. FIELD(status, MPI_SOURCE) == before, "Sendrecv")
        other = x
        call MPI_Sendrecv_replace(other, 3, MPI_INTEGER, next, 6, before, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE IE)
        call expect(all(other == y), "Sendrecv_replace")
        call MPI_Ibsend(x, 3, MPI_INTEGER, next, 7, MPI_COMM_WORLD, requests(2) IE)
        flag = .false.
        do while (.not. flag)
            call MPI_Iprobe(before, 7, MPI_COMM_WORLD, flag, status IE)
        end do
        call MPI_Recv(y, 3, MPI_INTEGER, before, FIELD(status, MPI_TAG), MPI_COMM_WORLD, status IE)
        call MPI_Wait(requests(2), MPI_STATUS_IGNORE IE)
        call count_ring(7)
        call bottom()
    end subroutine

    ! A type with absolute addresses.
    subroutine bottom()
        integer, volatile :: x, y
        integer(kind=MPI_ADDRESS_KIND) :: places(1)
        DATATYPE :: from, to
        x = rank + 100
        y = 0
        call MPI_Get_address(x, places(1) IE)
        call MPI_Type_create_hindexed(1, [1], places, MPI_INTEGER, from IE)
        call MPI_Get_address(y, places(1) IE)
        call MPI_Type_create_hindexed(1, [1], places, MPI_INTEGER, to IE)
        call MPI_Type_commit(from IE)
        call MPI_Type_commit(to IE)
        call MPI_Sendrecv(MPI_BOTTOM, 1, from, next, 8, MPI_BOTTOM, 1, to, before, 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE IE)
        call expect(y == before + 100, "MPI_BOTTOM")
        call MPI_Type_free(from IE)
        call MPI_Type_free(to IE)
        call expect(to == MPI_DATATYPE_NULL, "Type_free")
        call count_ring(1)
    end subroutine

    ! ---- many requests ----

    subroutine start(x, requests)
        integer, intent(inout), asynchronous :: x(6)
        REQUEST, intent(out) :: requests(6)
        integer :: k
        do k = 1, 3
            call MPI_Irecv(x(k), 1, MPI_INTEGER, before, 10 + k, MPI_COMM_WORLD, requests(k) IE)
        end do
        do k = 1, 3
            x(3 + k) = 1000 * rank + k
            call MPI_Isend(x(3 + k), 1, MPI_INTEGER, next, 10 + k, MPI_COMM_WORLD, requests(3 + k) IE)
        end do
        call count_ring(3)
    end subroutine

    ! A request that is complete is told by its place, from 1 on, and by the tag in its status.
    subroutine completions()
        integer, asynchronous :: x(6)
        integer :: places(6), n, k, done
        logical :: flag
        REQUEST :: requests(6)
        STATUS(status)
        STATUSES(statuses, 6)
        call start(x, requests)
        do done = 1, 6
            call MPI_Waitany(6, requests, places(1), status IE)
            call expect(requests(places(1)) == MPI_REQUEST_NULL, "Waitany's place")
            if (places(1) <= 3) call expect(FIELD(status, MPI_TAG) == 10 + places(1), "Waitany's status")
        end do
        call MPI_Waitany(6, requests, places(1), MPI_STATUS_IGNORE IE)
        call expect(places(1) < 1, "Waitany of none") ! MPICH adds 1 to MPI_UNDEFINED, too
        call start(x, requests)
        done = 0
        do while (done < 6)
            call MPI_Waitsome(6, requests, n, places, statuses IE)
            do k = 1, n
                call expect(requests(places(k)) == MPI_REQUEST_NULL, "Waitsome's place")
                if (places(k) <= 3) call expect(FIELD_OF(statuses, k, MPI_TAG) == 10 + places(k), "Waitsome's status")
            end do
            done = done + n
        end do
        call start(x, requests)
        done = 0
        do while (done < 6)
            call MPI_Testany(6, requests, places(1), flag, status IE)
            if (.not. flag) cycle
            if (places(1) <= 3) call expect(FIELD(status, MPI_TAG) == 10 + places(1), "Testany's status")
            done = done + 1
        end do
        call MPI_Testany(6, requests, places(1), flag, status IE)
        call expect(flag .and. places(1) < 1, "Testany of none")
        call start(x, requests)
        done = 0
        do while (done < 6)
            call MPI_Testsome(6, requests, n, places, MPI_STATUSES_IGNORE IE)
            do k = 1, n
                call expect(requests(places(k)) == MPI_REQUEST_NULL, "Testsome's place")
            end do
            done = done + n
        end do
        call MPI_Testsome(6, requests, n, places, statuses IE)
        call expect(n == MPI_UNDEFINED, "Testsome of none")
        call start(x, requests)
        flag = .false.
        do while (.not. flag)
            call MPI_Testall(6, requests, flag, statuses IE)
        end do
        call expect(FIELD_OF(statuses, 3, MPI_SOURCE) == before, "Testall's statuses")
        call expect(all(x(1:3) == 1000 * before + [1, 2, 3]), "what was received")
        call start(x, requests)
        do k = 1, 6
            flag = .false.
            do while (.not. flag)
                call MPI_Request_get_status(requests(k), flag, status IE)
            end do
            call expect(requests(k) /= MPI_REQUEST_NULL, "Request_get_status")
            call MPI_Test(requests(k), flag, status IE)
            call expect(flag .and. requests(k) == MPI_REQUEST_NULL, "Test")
        end do
    end subroutine

    ! ---- all ranks ----

    subroutine collectives()
        integer, volatile :: x(4)
        integer :: y(ranks), counts(ranks), places(ranks), k
        DATATYPE :: types(ranks)
        COMM :: comm, half
        REQUEST :: request
        x = rank + 1
        call MPI_Allreduce(MPI_IN_PLACE, x, 4, MPI_INTEGER, MPI_SUM, MPI_COMM_WORLD IE)
        call expect(all(x == ranks * (ranks + 1) / 2), "Allreduce in place")
        y = -1
        y(rank + 1) = 10 * rank
        call MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, y, 1, MPI_INTEGER, MPI_COMM_WORLD IE)
        call expect(all(y == [(10 * k, k=0, ranks - 1)]), "Allgather in place")
        counts = 1
        places = [(4 * k, k=0, ranks - 1)]
        types = MPI_INTEGER
        x = rank
        call MPI_Alltoallw([(100 * rank + k, k=0, ranks - 1)], counts, places, types, y, counts, places, types, MPI_COMM_WORLD IE)
        call expect(all(y == [(100 * k + rank, k=0, ranks - 1)]), "Alltoallw")
        call MPI_Alltoallw(MPI_IN_PLACE, counts, places, types, y, counts, places, types, MPI_COMM_WORLD IE)
        call expect(all(y == [(100 * rank + k, k=0, ranks - 1)]), "Alltoallw in place")
        call MPI_Ibcast(x, 4, MPI_INTEGER, 1, MPI_COMM_WORLD, request IE)
        call MPI_Wait(request, MPI_STATUS_IGNORE IE)
        call expect(all(x == 1), "Ibcast")
        call MPI_Comm_dup(MPI_COMM_WORLD, comm IE)
        call MPI_Comm_split(comm, mod(rank, 2), rank, half IE)
        call MPI_Comm_size(half, k IE)
        call expect(k == (ranks + 1 - mod(rank, 2)) / 2, "Comm_split")
        call MPI_Comm_free(half IE)
        call MPI_Comm_free(comm IE)
        call expect(comm == MPI_COMM_NULL, "Comm_free")
    end subroutine

    subroutine topologies()
        integer :: n, x(2), y(2), k
        COMM :: cart, line, graph
        call MPI_Cart_create(MPI_COMM_WORLD, 2, [ranks, 1], [.true., .false.], .false., cart IE)
        call MPI_Cart_sub(cart, [.true., .false.], line IE)
        call MPI_Comm_size(line, n IE)
        call expect(n == ranks, "Cart_sub")
        x = [2 * rank, 2 * rank + 1]
        call MPI_Neighbor_alltoall(x, 1, MPI_INTEGER, y, 1, MPI_INTEGER, line IE)
        call expect(all(y == [2 * before + 1, 2 * next]), "Neighbor_alltoall")
        call MPI_Comm_free(line IE)
        call MPI_Comm_free(cart IE)
        call MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, [before], MPI_UNWEIGHTED, 1, [next], MPI_UNWEIGHTED, MPI_INFO_NULL, &
                                            .false., graph IE)
        call MPI_Neighbor_alltoallw(x, [2], [0_MPI_ADDRESS_KIND], [MPI_INTEGER], y, [2], [0_MPI_ADDRESS_KIND], [MPI_INTEGER], graph IE)
        call expect(all(y == [(2 * before + k, k=0, 1)]), "Neighbor_alltoallw")
        call MPI_Comm_free(graph IE)
    end subroutine

    subroutine files()
        integer :: x(2), y(2)
        FILE_HANDLE :: file
        STATUS(status)
        call MPI_File_open(MPI_COMM_WORLD, " a file of MPI   ", MPI_MODE_CREATE + MPI_MODE_RDWR, MPI_INFO_NULL, file IE)
        x = [rank, now(1)]
        call MPI_File_write_at_all(file, int(8 * rank, MPI_OFFSET_KIND), x, 2, MPI_INTEGER, status IE)
        call MPI_File_read_at_all(file, int(8 * rank, MPI_OFFSET_KIND), y, 2, MPI_INTEGER, MPI_STATUS_IGNORE IE)
        call expect(all(y == x), "a file")
        call MPI_File_close(file IE)
    end subroutine

    ! ---- under way at the safe points ----

    subroutine send_all_kinds()
        integer :: x
        REQUEST :: request
        x = 10 * rank
        call MPI_Send(x, 1, MPI_INTEGER, next, 20, MPI_COMM_WORLD IE)
        call MPI_Bsend(x, 1, MPI_INTEGER, next, 21, MPI_COMM_WORLD IE)
        call MPI_Isend(x, 1, MPI_INTEGER, next, 22, MPI_COMM_WORLD, request IE)
        call MPI_Wait(request, MPI_STATUS_IGNORE IE)
        call MPI_Ibsend(x, 1, MPI_INTEGER, next, 23, MPI_COMM_WORLD, request IE)
        call MPI_Wait(request, MPI_STATUS_IGNORE IE)
        call MPI_Sendrecv(x, 1, MPI_INTEGER, next, 24, x, 0, MPI_INTEGER, MPI_PROC_NULL, 24, MPI_COMM_WORLD, MPI_STATUS_IGNORE IE)
        sent(next) = sent(next) + FLYING
    end subroutine

    subroutine check_came_back()
        type(wavecut_info) :: info
        call expect(wavecut_status_get(info) == WAVECUT_OK, "wavecut_status_get")
        call expect(info%restored_messages == FLYING, "messages that came back")
    end subroutine

    subroutine receive_all_kinds()
        integer :: x, tag
        do tag = 20, 19 + FLYING
            x = -1
            call MPI_Recv(x, 1, MPI_INTEGER, before, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE IE)
            call expect(x == 10 * before, "a message that was under way")
        end do
        received(before) = received(before) + FLYING
    end subroutine

    ! ---- the rest ----

    subroutine persistent()
        integer, volatile :: x, y
        integer :: k
        REQUEST :: requests(2)
        call MPI_Recv_init(y, 1, MPI_INTEGER, before, 30, MPI_COMM_WORLD, requests(1) IE)
        call MPI_Send_init(x, 1, MPI_INTEGER, next, 30, MPI_COMM_WORLD, requests(2) IE)
        do k = 1, 3
            x = 10 * rank + k
            call MPI_Startall(2, requests IE)
            call MPI_Waitall(2, requests, MPI_STATUSES_IGNORE IE)
            call expect(y == 10 * before + k, "a persistent request")
        end do
        call MPI_Request_free(requests(1) IE)
        call MPI_Request_free(requests(2) IE)
        call expect(requests(1) == MPI_REQUEST_NULL, "Request_free")
    end subroutine

    subroutine matched()
        integer :: y
        MESSAGE :: message
        STATUS(status)
        call MPI_Bsend(rank, 1, MPI_INTEGER, next, 31, MPI_COMM_WORLD IE)
        call MPI_Mprobe(MPI_ANY_SOURCE, 31, MPI_COMM_WORLD, message, status IE)
        call MPI_Mrecv(y, 1, MPI_INTEGER, message, status IE)
        call expect(y == before .and. FIELD(status, MPI_TAG) == 31 .and. message == MPI_MESSAGE_NULL, "Mrecv")
    end subroutine

    ! The largest tag is the library's: the program's are even one lower.
    subroutine attributes()
        integer(kind=MPI_ADDRESS_KIND) :: largest
        logical :: found
        integer :: x
        call MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, largest, found IE)
        call expect(found .and. largest >= 32766 .and. mod(largest, 2_MPI_ADDRESS_KIND) == 0, "Comm_get_attr")
        call MPI_Sendrecv(rank, 1, MPI_INTEGER, next, int(largest), x, 1, MPI_INTEGER, before, int(largest), MPI_COMM_WORLD, &
                          MPI_STATUS_IGNORE IE)
        call expect(x == before, "the largest tag")
#ifndef WITH_F08
        call MPI_Attr_get(MPI_COMM_WORLD, MPI_TAG_UB, x, found, ierr)
        call expect(found .and. x == largest, "Attr_get")
#endif
    end subroutine

    ! ---- a generalized request: its functions see its state, and its status comes from them ----

    subroutine generalized()
        REQUEST :: request
        STATUS(status)
        call MPI_Grequest_start(query_operation, free_operation, cancel_operation, 42_MPI_ADDRESS_KIND, request IE)
        call MPI_Cancel(request IE)
        call MPI_Grequest_complete(request IE)
        call MPI_Wait(request, status IE)
        call expect(FIELD(status, MPI_TAG) == 42 .and. told == 3, "Grequest_start")
    end subroutine
end program
