/*
 * Stands between a program and its disk, by LD_PRELOAD. What it does is told by the environment:
 *
 *   SHIM_FOLDER  the folder whose files are meant; everything else passes through
 *   SHIM_LOG     a file: every change below the folder is appended to it, and the head of every answer of 2xx that is
 *                written to a socket, in the one order in which they happened; and when a fault came
 *   SHIM_FAULT   operation:error:nth:times:suffix; the nth call of that operation (1 is the first) goes wrong, once or
 *                for ever. Operations: write, sync, truncate, open, unlink. Errors: EIO, ENOSPC, short (half of the
 *                bytes are written), kill (the process dies in place of the call). Suffix: only files whose name ends
 *                so; may be empty.
 *   SHIM_SYNC_MS how many milliseconds longer each sync of a file below the folder takes
 *
 * Where a descriptor leads is asked of /proc each time: a map would have to see every close, and not all go through libc.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define ACK_HEAD_BYTES 512

#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char folder[PATH_BYTES];
static size_t folder_length = 0;
static long sync_ms = 0;

static struct {
  int is_set, is_persistent, is_short, is_kill, error;
  char operation[16], suffix[64];
  long nth, seen;
} fault;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void start(void) {
  const char *where = getenv("SHIM_FOLDER"), *log = getenv("SHIM_LOG"), *what = getenv("SHIM_FAULT");
  if (where == NULL) return;
  folder_length = strlen(where);
  memcpy(folder, where, folder_length + 1);
  const char *slow = getenv("SHIM_SYNC_MS");
  if (slow != NULL) sync_ms = atol(slow);
  if (log != NULL) log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (what == NULL) return;
  char error[16], times[16];
  int found = sscanf(what, "%15[^:]:%15[^:]:%ld:%15[^:]:%63s", fault.operation, error, &fault.nth, times, fault.suffix);
  if (found < 4) abort();
  fault.is_set = 1;
  fault.is_persistent = strcmp(times, "ever") == 0;
  fault.is_short = strcmp(error, "short") == 0;
  fault.is_kill = strcmp(error, "kill") == 0;
  fault.error = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
}

/* The path below the folder ("" for the folder itself), or NULL for what does not concern us. */
static const char *below(const char *path) {
  if (folder_length == 0 || strncmp(path, folder, folder_length) != 0) return NULL;
  if (path[folder_length] == '\0') return path + folder_length;
  return path[folder_length] == '/' ? path + folder_length + 1 : NULL;
}

/* Fills `path` with where the descriptor leads. A file that has lost its name concerns nobody. */
static const char *place(int fd, char *path) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_BYTES - 1);
  if (length < 0) return NULL;
  path[length] = '\0';
  const char *name = below(path);
  return name != NULL && strstr(name, " (deleted)") == NULL ? name : NULL;
}

/* One record: kind, length of the name, length of the bytes, offset; then the name and the bytes. */
static void append(char kind, const char *name, int64_t offset, const void *bytes, size_t length) {
  if (log_fd < 0) return;
  struct __attribute__((packed)) { char kind; uint8_t name; uint32_t bytes; int64_t offset; } head =
    { kind, (uint8_t)strlen(name), (uint32_t)length, offset };
  struct iovec parts[3] = { { &head, sizeof head }, { (void *)name, head.name }, { (void *)bytes, length } };
  ssize_t whole = (ssize_t)(sizeof head + head.name + length);
  if (REAL(writev)(log_fd, parts, 3) != whole) abort();
}

/* Whether this call is the one that goes wrong. */
static int is_due(const char *operation, const char *name) {
  if (!fault.is_set || name == NULL || strcmp(operation, fault.operation) != 0) return 0;
  size_t length = strlen(name), suffix = strlen(fault.suffix);
  if (suffix > length || strcmp(name + length - suffix, fault.suffix) != 0) return 0;
  fault.seen += 1;
  int due = fault.is_persistent ? fault.seen >= fault.nth : fault.seen == fault.nth;
  if (due) append('f', name, 0, operation, strlen(operation));
  if (due && fault.is_kill) kill(getpid(), SIGKILL);
  return due;
}

#define FAIL_IF_DUE(operation, name) \
  if (is_due(operation, name)) { \
    pthread_mutex_unlock(&order); \
    errno = fault.error; \
    return -1; \
  }

/* Answers of 2xx are noted before they leave: nobody can have one that is not in the log. */
static void note_answer(int fd, const void *bytes, size_t length) {
  if (log_fd < 0 || length < 12 || memcmp(bytes, "HTTP/1.1 2", 10) != 0) return;
  struct stat about;
  if (fstat(fd, &about) != 0 || !S_ISSOCK(about.st_mode)) return;
  append('a', "", 0, bytes, length < ACK_HEAD_BYTES ? length : ACK_HEAD_BYTES);
}

static ssize_t put(int fd, const struct iovec *parts, int count, off_t offset) {
  char path[PATH_BYTES];
  if (folder_length == 0) goto plain;
  pthread_mutex_lock(&order);
  const char *name = place(fd, path);
  if (name == NULL) {
    note_answer(fd, parts[0].iov_base, parts[0].iov_len);
    pthread_mutex_unlock(&order);
    goto plain;
  }
  int due = is_due("write", name);
  if (due && !fault.is_short) {
    pthread_mutex_unlock(&order);
    errno = fault.error;
    return -1;
  }
  int64_t at = offset >= 0 ? offset : lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
  ssize_t written = 0;
  for (int i = 0; i < count; i += 1) {
    size_t length = due && i == count - 1 ? parts[i].iov_len / 2 : parts[i].iov_len;
    ssize_t one = REAL(pwrite64)(fd, parts[i].iov_base, length, at + written);
    if (one < 0) { if (written == 0) written = -1; break; }
    append('w', name, at + written, parts[i].iov_base, (size_t)one);
    written += one;
    if ((size_t)one < length) break;
  }
  if (offset < 0 && written > 0) lseek(fd, at + written, SEEK_SET);
  pthread_mutex_unlock(&order);
  return written;
plain:
  return offset >= 0 ? REAL(pwritev64)(fd, parts, count, offset) : REAL(writev)(fd, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec part = { (void *)bytes, length };
  return put(fd, &part, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return put(fd, parts, count, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec part = { (void *)bytes, length };
  return put(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  struct iovec part = { (void *)bytes, length };
  return put(fd, &part, 1, offset);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return put(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return put(fd, parts, count, offset); }

static int sync_with(int (*sync)(int), int fd) {
  char path[PATH_BYTES];
  if (folder_length == 0) return sync(fd);
  if (sync_ms > 0 && place(fd, path) != NULL) usleep((useconds_t)sync_ms * 1000);
  pthread_mutex_lock(&order);
  const char *name = place(fd, path);
  FAIL_IF_DUE("sync", name);
  int done = sync(fd);
  if (done == 0 && name != NULL) append('s', name, 0, "", 0);
  pthread_mutex_unlock(&order);
  return done;
}
int fsync(int fd) { return sync_with(REAL(fsync), fd); }
int fdatasync(int fd) { return sync_with(REAL(fdatasync), fd); }

static int truncate_at(int fd, off64_t size) {
  char path[PATH_BYTES];
  if (folder_length == 0) return REAL(ftruncate64)(fd, size);
  pthread_mutex_lock(&order);
  const char *name = place(fd, path);
  FAIL_IF_DUE("truncate", name);
  int done = REAL(ftruncate64)(fd, size);
  if (done == 0 && name != NULL) append('t', name, size, "", 0);
  pthread_mutex_unlock(&order);
  return done;
}
int ftruncate(int fd, off_t size) { return truncate_at(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_at(fd, size); }

int unlink(const char *path) {
  const char *name = below(path);
  if (name == NULL) return REAL(unlink)(path);
  pthread_mutex_lock(&order);
  FAIL_IF_DUE("unlink", name);
  int done = REAL(unlink)(path);
  if (done == 0) append('u', name, 0, "", 0);
  pthread_mutex_unlock(&order);
  return done;
}

int rename(const char *from, const char *to) {
  const char *name = below(from), *target = below(to);
  if (name == NULL || target == NULL) return REAL(rename)(from, to);
  pthread_mutex_lock(&order);
  int done = REAL(rename)(from, to);
  if (done == 0) append('r', name, 0, target, strlen(target));
  pthread_mutex_unlock(&order);
  return done;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
  const char *name = below(path);
  if (name == NULL) return REAL(openat64)(at, path, flags, mode);
  pthread_mutex_lock(&order);
  FAIL_IF_DUE("open", name);
  struct stat about;
  int was_there = stat(path, &about) == 0;
  int fd = REAL(openat64)(at, path, flags, mode);
  if (fd >= 0 && !was_there) append('c', name, 0, "", 0);
  if (fd >= 0 && was_there && (flags & O_TRUNC)) append('t', name, 0, "", 0);
  pthread_mutex_unlock(&order);
  return fd;
}

#define MODE_OF(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }
int open(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags, mode); }
