/*
 * Preloaded into rondo by the fault tests: memory that runs out, a wall clock that jumps, and sockets that take
 * and give a few bytes at a time.
 *
 * The file $SHIM_STATE is mapped, so that a test changes it while rondo runs. Counted are the calls of
 * malloc, calloc, realloc, reallocarray and of strdup's kin that reach malloc. Those that libconfig makes are neither
 * counted nor made to fail: it uses what it gets without a look, and dies.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct state {
	int64_t calls;        /* of malloc and the others, so far */
	int64_t fail_from;    /* the number of the first call that fails; 0: none does */
	int64_t fail_to;      /* the last one */
	int64_t wall_shift_s; /* added to the time of day */
	int64_t io_bytes;     /* the most that moves through a socket at once; 0: no limit */
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static struct state *state;
static uintptr_t careless_begin, careless_end; /* libconfig */

static int find_careless(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size, (void)context;
	if (!strstr(info->dlpi_name, "/libconfig.so"))
		return 0;
	careless_begin = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			careless_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
				       info->dlpi_phdr[i].p_memsz;
	return 1;
}

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("SHIM_STATE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	dl_iterate_phdr(find_careless, NULL);
	if (fd < 0)
		return;
	mapped = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped != MAP_FAILED)
		state = mapped;
}

static int is_short(void *caller)
{
	int64_t call;

	if (!state || ((uintptr_t)caller >= careless_begin && (uintptr_t)caller < careless_end))
		return 0;
	call = ++state->calls;
	if (!state->fail_from || call < state->fail_from || call > state->fail_to)
		return 0;
	errno = ENOMEM;
	return 1;
}

#define IS_SHORT is_short(__builtin_return_address(0))

void *malloc(size_t size)
{
	return IS_SHORT ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return IS_SHORT ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return IS_SHORT ? NULL : __libc_realloc(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return IS_SHORT ? NULL : __libc_realloc(memory, bytes);
}

static char *copy_of(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = __libc_malloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}

char *strdup(const char *text)
{
	return IS_SHORT ? NULL : copy_of(text);
}

/* What strdup is to those who were built with old headers. */
char *__strdup(const char *text)
{
	return IS_SHORT ? NULL : copy_of(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int result;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	result = real(clock, now);
	if (result == 0 && state && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += (time_t)state->wall_shift_s;
	return result;
}

time_t time(time_t *result)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (result)
		*result = now.tv_sec;
	return now.tv_sec;
}

static size_t at_most(size_t len)
{
	return state && state->io_bytes && len > (size_t)state->io_bytes ? (size_t)state->io_bytes
									 : len;
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
	return syscall(SYS_recvfrom, fd, data, at_most(len), flags, NULL, NULL);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	return syscall(SYS_sendto, fd, data, at_most(len), flags, NULL, 0);
}

ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len, unsigned flags)
{
	return syscall(SYS_splice, in, in_at, out, out_at, at_most(len), flags);
}

/* What is left of the parts when only so many bytes go out. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr less = *message;
	struct iovec parts[16];
	size_t left = at_most(SIZE_MAX), count = 0;

	while (count < message->msg_iovlen && count < 16 && left > 0) {
		parts[count] = message->msg_iov[count];
		if (parts[count].iov_len > left)
			parts[count].iov_len = left;
		left -= parts[count++].iov_len;
	}
	less.msg_iov = parts;
	less.msg_iovlen = count;
	return syscall(SYS_sendmsg, fd, &less, flags);
}
