#include "bench/micro/mail.h"
#include "bench/micro/micro.h"
#include "bench/micro/mime.h"

static void *open_plain(void)
{
    return mime_open(mail_plain);
}

MICRO(mime_plain) = {
    .name = "mime_plain",
    .op = "parse a message of 4 KiB, one part",
    .iterations = 50,
    .open = open_plain,
    .run = mime_run,
    .close = mime_close,
};
