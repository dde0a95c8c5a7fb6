#include "frontend/imap/imap_match.h"

static bool is_wild(uint8_t c)
{
    return c == '*' || c == '%';
}

/* Positions reached through wildcards that match nothing. */
static void close_over(struct slice pattern, uint8_t *at)
{
    for (size_t i = 0; i < pattern.n; i++) {
        if (at[i] && is_wild(pattern.p[i])) {
            at[i + 1] = 1;
        }
    }
}

static bool same(uint8_t p, uint8_t c, bool fold)
{
    return p == c || (fold && ascii_lower(p) == ascii_lower(c));
}

/* The pattern's positions are the states of an automaton; both arrays hold pattern.n + 1 of them. */
static void step(struct slice pattern, const uint8_t *at, uint8_t *next, uint8_t c, bool fold)
{
    memset(next, 0, pattern.n + 1);
    for (size_t i = 0; i < pattern.n; i++) {
        if (!at[i]) {
            continue;
        }
        uint8_t p = pattern.p[i];
        if (p == '*' || (p == '%' && c != '/')) {
            next[i] = 1;
        } else if (!is_wild(p) && same(p, c, fold)) {
            next[i + 1] = 1;
        }
    }
    close_over(pattern, next);
}

bool imap_match(struct slice pattern, struct slice name)
{
    uint8_t states[2][IMAP_PATTERN_BYTES_MAX + 1];
    if (pattern.n > IMAP_PATTERN_BYTES_MAX) {
        return false;
    }
    bool inbox = name.n >= 5 && slice_ieq_str(slice_sub(name, 0, 5), "INBOX") && (name.n == 5 || name.p[5] == '/');
    memset(states[0], 0, pattern.n + 1);
    states[0][0] = 1;
    close_over(pattern, states[0]);
    for (size_t i = 0; i < name.n; i++) {
        step(pattern, states[i & 1], states[~i & 1], name.p[i], inbox && i < 5);
    }
    return states[name.n & 1][pattern.n] != 0;
}
