/* A command in a process group of its own, and a guardian that ends it when nobody else can.
 *
 * Swift has no fork(2), and posix_spawn(3) can neither hand over a terminal nor make a guardian: so this is in C. */
#ifndef CPROCESS_H
#define CPROCESS_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    /* The command; also the id of its process group. */
    pid_t command;
    pid_t guardian;
    /* Where the guardian is told what is new. Its end means that we are gone. */
    int control;
    /* What the guardian has done, in memory that is shared with it; one of the numbers below. */
    volatile int32_t *verdict;
} cprocess;

enum {
    CPROCESS_LEFT_ALONE = 0,
    /* The time had come: nobody prolonged it. */
    CPROCESS_RAN_OUT = 1,
    /* It was told to, or its parent is gone. */
    CPROCESS_WAS_TOLD = 2,
};

/* Starts a command. Times are CLOCK_BOOTTIME in nanoseconds: that clock counts while the machine sleeps.
 *
 * The guardian sends the command's group SIGTERM `grace` before `valid_until` and SIGKILL at that time, whatever has
 * become of us: killed, stopped, hung. `cprocess_prolong` moves the time.
 *
 * file, arguments, environment: as for execvpe(3).
 * ignored: the signals that the command is to ignore; all others get their default.
 * terminal: a descriptor of the terminal whose foreground the command is to have, or -1.
 * returns 0, or the errno of what failed: ENOENT and the like are execvpe's. */
int cprocess_start(const char *file, char *const *arguments, char *const *environment, const sigset_t *ignored,
                   int terminal, int64_t valid_until, int64_t grace, cprocess *process);

/* The command may run until then. */
void cprocess_prolong(const cprocess *process, int64_t valid_until);

/* Ends the command's group: SIGTERM now, SIGKILL after the grace. */
void cprocess_end(const cprocess *process);

/* The command has ended by itself: the guardian leaves. Call it before the command is reaped, while nobody else can
 * have its number. */
void cprocess_dismiss(const cprocess *process);

/* Waits until the command changes its state. Does not reap it.
 * returns 0 when it has ended, else the signal that stopped it; -1 with errno. */
int cprocess_wait(const cprocess *process);

/* Reaps a command that has ended. returns its exit status, or 128 and the signal's number. */
int cprocess_reap(const cprocess *process);

/* Whether anybody is left in the command's group. */
int cprocess_group_lives(const cprocess *process);

int64_t cprocess_now(void);

/* From its return on these signals are caught, and each is a byte with its number on the descriptor that is returned;
 * -1 with errno. Once in a process.
 *
 * Dispatch's signal sources are set up by another thread some time after they are asked for, and lose what comes
 * before: a program that is stopped right after its start would run for ever. */
int cprocess_catch(const int *signals, int count);

#endif
