/* What ThreadSanitizer is told in every unit test of its build. libnng is the distribution's and not instrumented: the
 * sanitizer sees its memcpy and free but not the atomic reference count between them, and takes the publisher's last
 * free of a hint for a race with a subscriber's copy. */
extern "C" const char *__tsan_default_suppressions();

extern "C" const char *__tsan_default_suppressions()
{
    return "race:^rpc_server_publish$\n";
}
