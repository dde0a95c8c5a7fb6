/* The header fields that the parser knows, which are also the set whose lines are kept in the record ("cached"): what
 * Thunderbird, Apple Mail, K-9, mutt and Roundcube name in BODY.PEEK[HEADER.FIELDS (...)]. */
#ifndef PROTO_MESSAGE_FIELD_H
#define PROTO_MESSAGE_FIELD_H

#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, "name"), sorted by the length of the name (msg_field_find needs that). The position is a bit in the record's
 * headers_cut: a change of this list is a new record version. At most 64. */
/* clang-format off */
#define MSG_FIELD_LIST(X) \
    X(CC, "cc")                                                                                                        \
    X(TO, "to")                                                                                                        \
    X(BCC, "bcc")                                                                                                      \
    X(DATE, "date")                                                                                                    \
    X(FROM, "from")                                                                                                    \
    X(LINES, "lines")                                                                                                  \
    X(SENDER, "sender")                                                                                                \
    X(LIST_ID, "list-id")                                                                                              \
    X(SUBJECT, "subject")                                                                                              \
    X(X_LABEL, "x-label")                                                                                              \
    X(PRIORITY, "priority")                                                                                            \
    X(REPLY_TO, "reply-to")                                                                                            \
    X(X_MAILER, "x-mailer")                                                                                            \
    X(LIST_POST, "list-post")                                                                                          \
    X(CONTENT_ID, "content-id")                                                                                        \
    X(IMPORTANCE, "importance")                                                                                        \
    X(MESSAGE_ID, "message-id")                                                                                        \
    X(NEWSGROUPS, "newsgroups")                                                                                        \
    X(PRECEDENCE, "precedence")                                                                                        \
    X(REFERENCES, "references")                                                                                        \
    X(USER_AGENT, "user-agent")                                                                                        \
    X(X_PRIORITY, "x-priority")                                                                                        \
    X(CONTENT_MD5, "content-md5")                                                                                      \
    X(FOLLOWUP_TO, "followup-to")                                                                                      \
    X(IN_REPLY_TO, "in-reply-to")                                                                                      \
    X(RETURN_PATH, "return-path")                                                                                      \
    X(CHAT_VERSION, "chat-version")                                                                                    \
    X(CONTENT_TYPE, "content-type")                                                                                    \
    X(DELIVERED_TO, "delivered-to")                                                                                    \
    X(MIME_VERSION, "mime-version")                                                                                    \
    X(X_DRAFT_INFO, "x-draft-info")                                                                                    \
    X(BIMI_LOCATION, "bimi-location")                                                                                  \
    X(MAIL_REPLY_TO, "mail-reply-to")                                                                                  \
    X(X_ORIGINAL_TO, "x-original-to")                                                                                  \
    X(BIMI_INDICATOR, "bimi-indicator")                                                                                \
    X(DKIM_SIGNATURE, "dkim-signature")                                                                                \
    X(LIST_SUBSCRIBE, "list-subscribe")                                                                                \
    X(CONTENT_LANGUAGE, "content-language")                                                                            \
    X(CONTENT_LOCATION, "content-location")                                                                            \
    X(LIST_UNSUBSCRIBE, "list-unsubscribe")                                                                            \
    X(MAIL_FOLLOWUP_TO, "mail-followup-to")                                                                            \
    X(X_K9MAIL_IDENTITY, "x-k9mail-identity")                                                                          \
    X(CONTENT_DESCRIPTION, "content-description")                                                                      \
    X(CONTENT_DISPOSITION, "content-disposition")                                                                      \
    X(LIST_UNSUBSCRIBE_POST, "list-unsubscribe-post")                                                                  \
    X(X_BIMI_INDICATOR_HASH, "x-bimi-indicator-hash")                                                                  \
    X(AUTHENTICATION_RESULTS, "authentication-results")                                                                \
    X(CONTENT_TRANSFER_ENCODING, "content-transfer-encoding")                                                          \
    X(X_UNIFORM_TYPE_IDENTIFIER, "x-uniform-type-identifier")                                                          \
    X(DISPOSITION_NOTIFICATION_TO, "disposition-notification-to")                                                      \
    X(X_UNIVERSALLY_UNIQUE_IDENTIFIER, "x-universally-unique-identifier")
/* clang-format on */

enum msg_field {
#define MSG_FIELD_ENUM(id, name) MSG_FIELD_##id,
    MSG_FIELD_LIST(MSG_FIELD_ENUM)
#undef MSG_FIELD_ENUM
        MSG_FIELD_COUNT,
    MSG_FIELD_OTHER = MSG_FIELD_COUNT
};

/* Case-insensitive; MSG_FIELD_OTHER for a name that is not in the list. */
enum msg_field msg_field_find(struct slice name);
/* Static, lower case. */
const char *msg_field_name(enum msg_field f);

/* The fields of one header block: views into it. p is NULL where the field is absent; of a repeated field the first
 * counts and `repeated` has its bit set. */
struct msg_fields {
    struct slice block;
    struct slice value[MSG_FIELD_COUNT];
    uint64_t repeated;
};

void msg_fields_read(struct msg_fields *f, struct slice block);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_FIELD_H */
