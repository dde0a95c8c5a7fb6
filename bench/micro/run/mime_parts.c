#include "bench/micro/mail.h"
#include "bench/micro/micro.h"
#include "bench/micro/mime.h"

static void *open_parts(void)
{
    return mime_open(mail_parts);
}

MICRO(mime_parts) = {
    .name = "mime_parts",
    .op = "parse a message of 64 KiB, five parts",
    .iterations = 20,
    .open = open_parts,
    .run = mime_run,
    .close = mime_close,
};
