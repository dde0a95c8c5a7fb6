#include "frontend/smtp/smtp_greet.h"

/* RFC 2033, 4.1 */
SMTP_CMD(lhlo) = {
    .name = "LHLO",
    .roles = SMTP_ROLE_LMTP,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_REQUIRED,
    .usage = "LHLO hostname",
    .last = true,
    .run = smtp_greet_extended,
};
