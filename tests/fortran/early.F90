! SPDX-License-Identifier: BSD-3-Clause
!
! A ring of ranks that pass on a row in each step, from Fortran: at a safe point the receive for the next one is posted, into a ghost
! row of a protected array, the message is under way, the send of the last one is not completed; and a receive for rank 0's last word
! is open from the beginning to the end. Beside it a list grows, which is saved by functions.
!   early aligned|immediate COLUMNS STEPS OUT    OUT: file for the end
! REQUEST and RAW make `use mpi` and `use mpi_f08` one: RAW is a handle as an integer.
#ifdef WITH_F08
#define REQUEST type(MPI_Request)
#define DATATYPE type(MPI_Datatype)
#define RAW(handle) handle%MPI_VAL
#else
#define REQUEST integer
#define DATATYPE integer
#define RAW(handle) handle
#endif
module list
    use wavecut
    implicit none
    type node
        integer(c_int64_t) :: value
        type(node), pointer :: rest
    end type
    type(node), pointer :: first => null()

contains

    subroutine put(value)
        integer(c_int64_t), intent(in) :: value
        type(node), pointer :: new
        allocate (new)
        new = node(value, first)
        first => new
    end subroutine

    integer(c_int) function save_list(user, sink) bind(c)
        type(c_ptr), value :: user, sink
        type(node), pointer :: n
        integer(c_int64_t), target :: value
        save_list = WAVECUT_OK
        if (.not. c_associated(user)) save_list = 1
        n => first
        do while (associated(n) .and. save_list == WAVECUT_OK)
            value = n%value
            save_list = wavecut_write(sink, c_loc(value), c_sizeof(value))
            n => n%rest
        end do
    end function

    integer(c_int) function load_list(user, bytes, count) bind(c)
        type(c_ptr), value :: user, bytes
        integer(c_size_t), value :: count
        integer(c_int64_t), pointer :: values(:)
        integer :: i
        load_list = merge(0, 1, c_associated(user) .and. .not. associated(first))
        call c_f_pointer(bytes, values, [count / 8])
        do i = size(values), 1, -1
            call put(values(i))
        end do
    end function
end module

program early
#if defined(WITH_F08)
    use mpi_f08
#else
    use mpi
#endif
    use list
    implicit none
    integer, parameter :: ROWS = 4, EDGE = 5, LAST_WORD = 99
    integer :: rank, ranks, next, before, columns, ierr, one
    real(c_double), allocatable, target, asynchronous :: u(:, :) ! row 0 is the one of the rank before
    real(c_double), allocatable, asynchronous :: sent(:)
    integer(c_int64_t), target, asynchronous :: word(1) = 0, step(1) = 0, steps
    REQUEST, target, asynchronous :: halo(2) = MPI_REQUEST_NULL, last(1) = MPI_REQUEST_NULL ! halo: receive, send
    DATATYPE :: row
    integer(c_int) :: restarted
    character(len=200) :: argument, mode, out

    call get_command_argument(1, mode)
    call get_command_argument(2, argument)
    read (argument, *) columns
    call get_command_argument(3, argument)
    read (argument, *) steps
    call get_command_argument(4, out)
    call MPI_Init(ierr)
    call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
    call MPI_Comm_size(MPI_COMM_WORLD, ranks, ierr)
    next = mod(rank + 1, ranks)
    before = mod(rank + ranks - 1, ranks)
    allocate (u(0:ROWS, columns), sent(columns))
    u = real(rank, c_double)
    call MPI_Type_vector(columns, 1, ROWS + 1, MPI_DOUBLE_PRECISION, row, ierr)
    call MPI_Type_commit(row, ierr)
    call begin()
    do while (step(1) < steps)
        call expect(wavecut_safepoint() == WAVECUT_OK, "wavecut_safepoint")
        call MPI_Waitany(1, halo, one, MPI_STATUS_IGNORE, ierr)
        call expect(one == 1 .and. halo(1) == MPI_REQUEST_NULL, "Waitany")
        u(1:, :) = 0.5 * u(1:, :) + 0.3 * cshift(u(1:, :), 1, 2) + 0.2 * u(:ROWS - 1, :) + 0.001 * mod(step(1), 7_c_int64_t)
        step = step + 1
        if (mod(step(1), 50_c_int64_t) == 0) call put(step(1) * 10 + rank)
        call MPI_Wait(halo(2), MPI_STATUS_IGNORE, ierr)
        call exchange()
    end do
    call MPI_Waitall(2, halo, MPI_STATUSES_IGNORE, ierr)
    call say_last_word()
    call write_all()
    call expect(wavecut_finalize() == WAVECUT_OK, "wavecut_finalize")
    call MPI_Finalize(ierr)

contains

    subroutine expect(right, what)
        logical, intent(in) :: right
        character(len=*), intent(in) :: what
        character(len=256) :: text
        integer :: ierror
        if (right) return
        call wavecut_error_text(text)
        print "(a, i0, 4a)", "WRONG on rank ", rank, ": ", what, ", ", trim(text)
        flush (6)
        call MPI_Abort(MPI_COMM_WORLD, 1, ierror)
    end subroutine

    subroutine begin()
        type(c_ptr) :: memory
        call expect(wavecut_init(RAW(MPI_COMM_WORLD)) == WAVECUT_OK, "wavecut_init")
        call expect(wavecut_cut(merge(WAVECUT_IMMEDIATE, WAVECUT_ALIGNED, mode == "immediate")) == WAVECUT_OK, "wavecut_cut")
        call expect(wavecut_protect("u", c_loc(u), size(u, kind=c_size_t), RAW(MPI_DOUBLE_PRECISION)) == WAVECUT_OK, "u")
        call expect(wavecut_hint("u ", WAVECUT_STABLE) == WAVECUT_OK, "a hint")
        call expect(wavecut_hint("u", WAVECUT_NO_HINT) == WAVECUT_OK, "no hint")
        call expect(wavecut_hint("nothing", WAVECUT_STABLE) == WAVECUT_ERR_NAME, "a hint for nothing")
        call expect(wavecut_alloc(100_c_size_t, memory) == WAVECUT_OK, "alloc")
        call expect(wavecut_free(memory) == WAVECUT_OK, "free")
        call expect(wavecut_free(memory) == WAVECUT_ERR_ARGUMENT, "free again")
        call expect(wavecut_protect("step", c_loc(step), 1_c_size_t, RAW(MPI_INTEGER8)) == WAVECUT_OK, "step")
        call expect(wavecut_protect("word", c_loc(word), 1_c_size_t, RAW(MPI_INTEGER8)) == WAVECUT_OK, "word")
        call expect(wavecut_protect_requests("halo", c_loc(halo), -1) == WAVECUT_ERR_ARGUMENT, "-1 requests")
        call expect(wavecut_protect_requests("halo", c_loc(halo), size(halo)) == WAVECUT_OK, "halo")
        call expect(wavecut_protect_requests("last", c_loc(last), size(last)) == WAVECUT_OK, "last")
        call expect(wavecut_protect_callback("list", c_funloc(save_list), c_funloc(load_list), c_loc(u)) == WAVECUT_OK, "list")
        call expect(wavecut_restore(restarted) == WAVECUT_OK, "wavecut_restore")
        if (restarted /= 0) then
            call expect(halo(1) /= MPI_REQUEST_NULL .and. halo(2) == MPI_REQUEST_NULL .and. last(1) /= MPI_REQUEST_NULL, "requests")
        else
            call MPI_Irecv(word, 1, MPI_INTEGER8, MPI_ANY_SOURCE, LAST_WORD, MPI_COMM_WORLD, last(1), ierr)
            call exchange()
        end if
    end subroutine

    subroutine exchange()
        sent = u(ROWS, :)
        call MPI_Irecv(u, 1, row, before, EDGE, MPI_COMM_WORLD, halo(1), ierr)
        call MPI_Isend(sent, columns, MPI_DOUBLE_PRECISION, next, EDGE, MPI_COMM_WORLD, halo(2), ierr)
    end subroutine

    subroutine say_last_word()
        integer :: to
        do to = 0, merge(ranks, 0, rank == 0) - 1
            call MPI_Send(step + 1000, 1, MPI_INTEGER8, to, LAST_WORD, MPI_COMM_WORLD, ierr)
        end do
        call MPI_Wait(last(1), MPI_STATUS_IGNORE, ierr)
        call expect(word(1) == step(1) + 1000, "the last word")
    end subroutine

    ! Rank after rank.
    subroutine write_all()
        type(node), pointer :: n
        integer :: turn, unit
        do turn = 0, ranks - 1
            if (turn == rank) then
                open (newunit=unit, file=out, access="stream", position=merge("rewind", "append", turn == 0))
                write (unit) u, step, word
                n => first
                do while (associated(n))
                    write (unit) n%value
                    n => n%rest
                end do
                close (unit)
            end if
            call MPI_Barrier(MPI_COMM_WORLD, ierr)
        end do
    end subroutine
end program
