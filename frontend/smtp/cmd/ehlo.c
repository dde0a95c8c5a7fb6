#include "frontend/smtp/smtp_greet.h"

SMTP_CMD(ehlo) = {
    .name = "EHLO",
    .roles = SMTP_ROLES_SMTP,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_REQUIRED,
    .usage = "EHLO hostname",
    .last = true,
    .run = smtp_greet_extended,
};
