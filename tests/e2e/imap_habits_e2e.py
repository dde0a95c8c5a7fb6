#!/usr/bin/env python3
"""What IMAP clients do that the RFCs allow and servers get wrong: odd literals, dates, names, sets, sections and races."""

import re
import time

import case
import mail

SMALL = b"Subject: small\r\n\r\nbody\r\n"


class Habits(case.ServerCase):
    settings = {"imap.errors_max": "200"}

    def setUp(self):
        self.user = self.new_user(f"h{int(time.monotonic() * 1e6)}")

    def append(self, c, octets=SMALL, mailbox="INBOX", before=""):
        """What APPEND answers; the flags and the date stand in `before`, with a space after them."""
        tag = c.tag()
        c.send(tag + f" APPEND {mailbox} {before}".encode() + b"{%d+}\r\n" % len(octets) + octets + b"\r\n")
        return c.finish(tag)

    def filled(self, n):
        c = self.wire_imap(self.user)
        for i in range(n):
            self.assertEqual(self.append(c, mail.made(i))[0], "OK")
        c.must("SELECT INBOX")
        return c

    def said(self, c, octets, *tags):
        c.send(octets)
        return [c.finish(tag) for tag in tags]


class Literals(Habits):
    def test_an_empty_literal_may_stand_anywhere(self):
        c = self.filled(2)
        for octets, answer in ((b'x LIST {0+}\r\n "INBOX"\r\n', b'* LIST (\\HasNoChildren) "/" "INBOX"'),
                               (b"x SEARCH SUBJECT {0+}\r\n 2\r\n", b"* SEARCH 2"),
                               (b"x SEARCH SUBJECT {0+}\r\n\r\n", b"* SEARCH 1 2")):
            with self.subTest(octets=octets):
                (status, text, untagged), = self.said(c, octets, b"x")
                self.assertEqual((status, untagged), ("OK", [answer]), text)
        c.send(b"x SEARCH SUBJECT {0}\r\n")
        self.assertTrue(c.line().startswith(b"+"))
        self.assertEqual(self.said(c, b" 2\r\n", b"x")[0][0], "OK")
        self.assertEqual([a[0] for a in self.said(c, b"x SELECT {0+}\r\n\r\ny NOOP\r\n", b"x", b"y")], ["NO", "OK"])

    def test_a_refused_command_is_skipped_with_its_literals(self):
        c = self.wire_imap(self.user)
        for octets in (b"x FROB {3+}\r\nabc\r\n", b"x FROB {3}\r\n", b"x NOOP {3+}\r\nabc {4+}\r\n1234\r\n", b"x STATUS {-1}\r\n",
                       b"x STATUS {99999999999999999999}\r\n", b"x APPEND INBOX (\\Frob) {6+}\r\nz NOOP\r\n"):
            with self.subTest(octets=octets):
                self.assertEqual([a[0] for a in self.said(c, octets + b"y NOOP\r\n", b"x", b"y")], ["BAD", "OK"])

    def test_literals_stand_for_strings_in_every_place(self):
        c = self.filled(1)
        c.send(b"x APPEND {5+}\r\nINBOX () {%d+}\r\n" % len(SMALL) + SMALL + b"\r\n")
        self.assertEqual(c.finish(b"x")[0], "OK")
        rows = self.said(c, b"x FETCH 1 BODY.PEEK[HEADER.FIELDS ({7+}\r\nsubject)]\r\n", b"x")[0][2]
        self.assertIn(b"Subject: m 0\r\n\r\n", rows[-1])
        self.assertEqual(self.said(c, b"x SEARCH {1+}\r\n1\r\n", b"x")[0][0], "BAD")


class Append(Habits):
    def dates(self, *given):
        c = self.wire_imap(self.user)
        for date in given:
            self.assertEqual(self.append(c, before=f'"{date}" ')[0], "OK", date)
        c.must("SELECT INBOX")
        return [re.search(rb'INTERNALDATE "([^"]*)"', r).group(1).decode() for r in c.must("FETCH 1:* INTERNALDATE")]

    def test_dates_of_all_times_are_kept(self):
        self.assertEqual(self.dates(" 1-Jan-1970 00:00:00 +0000", "31-Dec-1969 23:59:59 +0000", "01-Jan-1901 00:00:00 -0100",
                                    "29-Feb-2024 23:30:00 -0100", "1-Feb-2040 00:00:00 +1400"),
                         [" 1-Jan-1970 00:00:00 +0000", "31-Dec-1969 23:59:59 +0000", " 1-Jan-1901 01:00:00 +0000",
                          " 1-Mar-2024 00:30:00 +0000", "31-Jan-2040 10:00:00 +0000"])

    def test_a_date_that_does_not_exist_is_refused_before_the_message(self):
        c = self.wire_imap(self.user)
        for date in ("29-Feb-2023 00:00:00 +0000", "01-Foo-2023 00:00:00 +0000", "01-Jan-2023 24:00:00 +0000", "01-Jan-2023"):
            c.send(f'x APPEND INBOX "{date}" {{5}}\r\n')
            self.assertTrue(c.line().startswith(b"x BAD"), date)


class Names(Habits):
    def test_a_name_that_no_mailbox_can_have_is_no_and_not_bad(self):
        c = self.wire_imap(self.user)
        for name in (b'""', b'"&"', b'"\xc3\xa9"', b"!#$&'+,-.0123456789:;<=>?@^_`|[}", b"a//b", b"/a"):
            for command in (b"SELECT %s", b"STATUS %s (MESSAGES)", b"CREATE %s", b"DELETE %s", b"RENAME INBOX %s", b"RENAME %s x",
                            b"SUBSCRIBE %s", b"APPEND %s {3+}\r\nabc"):
                with self.subTest(name=name, command=command):
                    status, text, untagged = c.ask(command % name)
                    self.assertEqual((status, untagged), ("NO", []), text)
        self.assertEqual(c.must(b"LIST \"\" !#$&'+,-.0123456789:;<=>?@^_`|[}%*"), [])

    def test_a_use_that_is_not_known_or_one_too_many_is_useattr(self):
        c = self.wire_imap(self.user)
        for uses in (r"\Drafts \Sent", r"\Frob"):
            status, text, _ = c.ask(f"CREATE New (USE ({uses}))")
            self.assertEqual((status, text.split()[0]), ("NO", "[USEATTR]"), uses)
            self.assertEqual(c.must('LIST "" New'), [])
        c.must("CREATE New (USE ())")
        c.must(r"CREATE Other (USE (\sent))")
        self.assertEqual(c.must('LIST "" Other'), [b'* LIST (\\HasNoChildren \\Sent) "/" "Other"'])
        self.assertEqual(c.ask("CREATE More (FROB)")[0], "BAD")
        self.assertEqual(c.ask("CREATE More (USE (Sent))")[0], "BAD")


class Races(Habits):
    """What another session has expunged and this one has not been told of."""

    def gone(self, n, which):
        b = self.filled(n)
        a = self.wire_imap(self.user, "INBOX")
        a.must(rf"STORE {which} +FLAGS.SILENT (\Deleted)")
        a.must("EXPUNGE")
        return b

    def test_store_says_no_without_silent_and_ok_with_it(self):
        b = self.gone(3, "1")
        status, text, untagged = b.ask(r"STORE 1:3 +FLAGS (\Flagged)")
        self.assertEqual((status, text.split()[0]), ("NO", "[EXPUNGEISSUED]"))
        self.assertEqual([r[:9] for r in untagged], [b"* 2 FETCH", b"* 3 FETCH"])
        self.assertEqual(b.ask(r"STORE 1:3 +FLAGS.SILENT (\Draft)")[0], "OK")
        untagged = b.must("FETCH 2:3 FLAGS")
        self.assertEqual([b"\\Draft" in r for r in untagged], [True, True])
        self.assertEqual(b.must("NOOP"), [b"* 1 EXPUNGE"])

    def test_several_expunges_are_told_by_the_number_each_has_then(self):
        b = self.gone(7, "1,3:4,7")
        self.assertEqual(b.must("NOOP"), [b"* 1 EXPUNGE", b"* 2 EXPUNGE", b"* 2 EXPUNGE", b"* 4 EXPUNGE"])
        self.assertEqual(b.must("FETCH 1:* UID"), [b"* 1 FETCH (UID 2)", b"* 2 FETCH (UID 5)", b"* 3 FETCH (UID 6)"])

    def test_a_silent_store_does_not_hide_what_somebody_else_changed(self):
        b = self.filled(2)
        a = self.wire_imap(self.user, "INBOX")
        a.must(r"STORE 1 +FLAGS (\Draft)")
        rows = b.must(r"STORE 1:2 +FLAGS.SILENT (\Answered)")
        self.assertEqual(len(rows), 1, rows)
        self.assertTrue(rows[0].startswith(b"* 1 FETCH ("), rows)
        self.assertIn(rb"\Answered \Draft", rows[0])
        self.assertEqual(b.must("NOOP"), [])
        self.assertEqual(len(a.must("NOOP")), 2)


class Selected(Habits):
    def test_rename_of_inbox_ends_the_sessions_that_have_it(self):
        c = self.filled(1)
        before = int(re.search(rb"UIDVALIDITY (\d+)", c.must("STATUS INBOX (UIDVALIDITY)")[0]).group(1))
        other = self.wire_imap(self.user)
        other.must("CREATE INBOX/Kept")
        other.must("RENAME INBOX Old/In")
        self.assertTrue(c.ask("NOOP")[2][-1].startswith(b"* BYE "))
        self.assertTrue(c.closed())
        validity = [int(re.search(rb"UIDVALIDITY (\d+)", other.must(f"STATUS {m} (UIDVALIDITY)")[0]).group(1))
                    for m in ("Old/In", "INBOX")]
        self.assertEqual(validity[0], before)
        self.assertGreater(validity[1], before)
        self.assertEqual(len(other.must("LIST \"\" INBOX/Kept")), 1)

    def test_a_mailbox_made_anew_under_its_name_is_another_one(self):
        c = self.wire_imap(self.user)
        c.must("CREATE Box")
        c.must("SELECT Box")
        other = self.wire_imap(self.user)
        other.must("DELETE Box")
        other.must("CREATE Box")
        self.append(other, mailbox="Box")
        untagged = c.ask("NOOP")[2]
        self.assertTrue(untagged[-1].startswith(b"* BYE "), untagged)
        self.assertFalse([r for r in untagged if b"EXISTS" in r])

    def test_a_renamed_mailbox_stays_selected(self):
        c = self.wire_imap(self.user)
        c.must("CREATE Box")
        c.must("SELECT Box")
        other = self.wire_imap(self.user)
        other.must("RENAME Box Elsewhere/Box")
        self.append(other, mailbox="Elsewhere/Box")
        self.assertIn(b"* 1 EXISTS", c.must("NOOP"))

    def test_a_failed_select_leaves_no_mailbox_selected(self):
        c = self.filled(1)
        status, _, untagged = c.ask("SELECT Nowhere")
        self.assertEqual((status, untagged), ("NO", [b"* OK [CLOSED] Previous mailbox closed"]))
        self.assertEqual(c.ask("FETCH 1 UID")[0], "BAD")

    def test_examine_has_no_permanent_flags_and_takes_no_recent(self):
        writer = self.wire_imap(self.user)
        self.append(writer)
        for _ in range(2):
            untagged = writer.must("EXAMINE INBOX")
            self.assertIn(b"* 1 RECENT", untagged)
            self.assertTrue([r for r in untagged if r.startswith(b"* OK [PERMANENTFLAGS ()]")])
        writer.must("SELECT INBOX")
        self.assertIn(b"* 0 RECENT", self.wire_imap(self.user).must("SELECT INBOX"))


class Fetch(Habits):
    NESTED = (b"Subject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=AA\r\n\r\n"
              b"--AA\r\n\r\none\r\n--AA\r\nContent-Type: message/rfc822\r\n\r\n"
              b"Subject: inner\r\nX-A: 1\r\n\tfolded\r\nContent-Type: multipart/mixed; boundary=BB\r\n\r\n"
              b"--BB\r\n\r\nplain\r\n--BB--\r\n\r\n--AA--\r\n")

    def test_parts_of_nested_messages_are_found(self):
        c = self.wire_imap(self.user)
        self.append(c, self.NESTED)
        c.must("SELECT INBOX")
        for section, want in (("1", b"one"), ("1.MIME", b"\r\n"), ("2.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
                              ("2.HEADER.FIELDS (x-a)", b"X-A: 1\r\n\tfolded\r\n\r\n"),
                              ("2.HEADER.FIELDS.NOT (X-A Content-Type)", b"Subject: inner\r\n\r\n"), ("2.1", b"plain"),
                              ("2.TEXT", b"--BB\r\n\r\nplain\r\n--BB--\r\n"), ("2.HEADER", None), ("2.2", b"NIL"), ("1.1", b"NIL"),
                              ("9", b"NIL"), ("HEADER.FIELDS (Nope)", b"\r\n")):
            with self.subTest(section=section):
                row = c.must(f"FETCH 1 BODY.PEEK[{section}]")[0]
                self.assertTrue(row.startswith(b"* 1 FETCH (BODY[%s] " % section.encode()), row)
                if want == b"NIL":
                    self.assertTrue(row.endswith(b"] NIL)"), row)
                elif want is not None:
                    self.assertTrue(row.endswith(b"] {%d}\r\n%s)" % (len(want), want)), row)

    def test_header_fields_are_the_same_whatever_the_records_keep_of_them(self):
        c = self.append_kinds()
        for item in ("HEADER.FIELDS (SUBJECT TO)", "HEADER.FIELDS (to)", "HEADER.FIELDS (SUBJECT X-Own)",
                     "HEADER.FIELDS.NOT (X-Own)"):
            for extra in ("", " BODY.PEEK[HEADER]"):
                got = c.must(f"FETCH 1:3 (BODY.PEEK[{item}]{extra})")
                self.assertEqual(len(got), 3)
                for row, header in zip(got, self.kinds):
                    self.assertIn(self.picked(item, header), row, item)

    def append_kinds(self):
        """A usual header, one whose To no record keeps, one with no field that records know."""
        c = self.wire_imap(self.user)
        many = b",\r\n\t".join(b"user%05d@example.test" % i for i in range(3000))
        self.kinds = [b"Subject: usual\r\nX-Own: 1\r\nTo: a@example.test\r\n",
                      b"To: " + many + b"\r\nSubject: many\r\nX-Own: 2\r\n",
                      b"X-Own: 3\r\nX-Other: 4\r\n"]
        for header in self.kinds:
            self.assertEqual(self.append(c, header + b"\r\nbody\r\n")[0], "OK")
        c.must("SELECT INBOX")
        return c

    def picked(self, item, header):
        names = [n.lower().encode() for n in item[item.index("(") + 1:-1].split()]
        fields = re.findall(rb"[^\s:]+:.*?\r\n(?![ \t])", header, re.S)
        wanted = [f for f in fields if (f.split(b":")[0].lower() in names) != ("NOT" in item)]
        text = b"".join(wanted) + b"\r\n"
        return b"{%d}\r\n" % len(text) + text

    def test_partial_fetches_end_where_the_message_ends(self):
        c = self.wire_imap(self.user)
        self.append(c)
        c.must("SELECT INBOX")
        for partial, want in (("0.7", b"<0> {7}\r\nSubject)"), ("20.99", b"<20> {4}\r\ndy\r\n)"), ("24.1", b'<24> "")'),
                              ("4294967295.4294967295", b'<4294967295> "")')):
            self.assertEqual(c.must(f"FETCH 1 BODY.PEEK[]<{partial}>"), [b"* 1 FETCH (BODY[]" + want])
        self.assertEqual(c.ask("FETCH 1 BODY.PEEK[]<0.0>")[0], "BAD")

    def test_sets_in_any_order_with_repeats_and_stars(self):
        c = self.filled(3)
        c.must(r"STORE 2 +FLAGS (\Deleted)")
        c.must("EXPUNGE")
        for command, uids in (("FETCH *:1 UID", [1, 3]), ("FETCH 2,1,2,1:2 UID", [1, 3]), ("UID FETCH 9:* UID", [3]),
                              ("UID FETCH 2 UID", []), ("UID FETCH 4294967295:2 UID", [3]), ("FETCH * UID", [3])):
            self.assertEqual([int(re.search(rb"UID (\d+)", r).group(1)) for r in c.must(command)], uids, command)
        for command in ("FETCH 3 UID", "FETCH 1:3 UID", "FETCH 0 UID", "UID FETCH 0 UID", "FETCH 1:2:3 UID", "FETCH 1, UID"):
            self.assertEqual(c.ask(command)[0], "BAD", command)

    def test_reading_a_body_tells_the_new_flags(self):
        c = self.filled(1)
        row = c.must("FETCH 1 BODY[TEXT]<0.1>")[0]
        self.assertIn(rb"FLAGS (\Seen", row)
        self.assertNotIn(b"FLAGS", c.must("FETCH 1 BODY[TEXT]<0.1>")[0])
        self.assertEqual(c.must("NOOP"), [])

    def test_what_another_session_was_told_is_there(self):
        c = self.filled(1)
        other = self.wire_imap(self.user)
        for n in range(2, 6):
            self.append(other)
            command = ("FETCH 1:* UID", f"FETCH {n} UID", f"UID FETCH {n} UID", f"SEARCH {n}")[n - 2]
            self.assertIn(b"UID %d" % n if "FETCH" in command else b"* SEARCH %d" % n, b"\n".join(c.must(command)), command)


class Condstore(Habits):
    def modseqs(self, rows):
        return [int(m) for r in rows for m in re.findall(rb"\bMODSEQ \(?(\d+)", r)]

    def test_every_enabling_command_tells_highestmodseq_and_turns_modseq_on(self):
        for command in ("FETCH 1 MODSEQ", "SEARCH MODSEQ 1", "ENABLE CONDSTORE", r"STORE 1 (UNCHANGEDSINCE 99) FLAGS ()",
                        "FETCH 1 FLAGS (CHANGEDSINCE 99)", "STATUS INBOX (HIGHESTMODSEQ)"):
            with self.subTest(command=command):
                c = self.wire_imap(self.user)
                self.append(c)
                c.must("SELECT INBOX")
                self.assertEqual(len([r for r in c.must(command) if r.startswith(b"* OK [HIGHESTMODSEQ ")]), 1)
                self.assertEqual(len(self.modseqs(c.must(r"STORE 1 +FLAGS.SILENT (\Flagged)"))), 1)
                c.must(r"STORE 1 -FLAGS.SILENT (\Flagged)")

    def test_changedsince_gives_what_has_changed_since(self):
        c = self.filled(3)
        before = self.modseqs(c.must("FETCH 1:* MODSEQ"))
        self.assertEqual(before, sorted(set(before)))
        after, = self.modseqs(c.must(r"STORE 2 +FLAGS (\Flagged)"))
        self.assertGreater(after, before[-1])
        rows = c.must(f"FETCH 1:* FLAGS (CHANGEDSINCE {before[1]})")
        self.assertEqual([r[:9] for r in rows], [b"* 2 FETCH", b"* 3 FETCH"])
        self.assertEqual(self.modseqs(rows), [after, before[2]])
        self.assertEqual(c.must(f"FETCH 1:* FLAGS (CHANGEDSINCE {after})"), [])

    def test_a_store_under_a_condition_names_what_failed_as_the_command_did(self):
        c = self.filled(4)
        c.must(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        c.must("EXPUNGE")
        known = max(self.modseqs(c.must("FETCH 1:* MODSEQ")))
        other = self.wire_imap(self.user, "INBOX")
        other.must(r"STORE 2 +FLAGS (\Flagged)")
        for command, failed, changed in (("STORE 1:3", "2", 2), ("UID STORE 2:4", "3", 2)):
            status, text, untagged = c.ask(rf"{command} (UNCHANGEDSINCE {known}) +FLAGS.SILENT ($A{command[0]})")
            self.assertEqual((status, text.split("] ")[0]), ("OK", f"[MODIFIED {failed}"), text)
            self.assertEqual(len([r for r in untagged if b"MODSEQ" in r and b"FLAGS" not in r]), changed, untagged)
            known = max(self.modseqs(untagged))
            other.must(r"STORE 2 -FLAGS (\Flagged)")
        status, text, _ = c.ask(r"STORE 1:3 (UNCHANGEDSINCE 0) FLAGS ()")
        self.assertTrue(text.startswith("[MODIFIED 1:3]"), text)

    def test_search_tells_the_greatest_modseq_of_what_it_names(self):
        c = self.filled(3)
        c.must(r"STORE 2 +FLAGS (\Flagged)")
        first, second, third = self.modseqs(c.must("FETCH 1:* MODSEQ"))
        for options, want in (("", second), ("RETURN (MIN) ", first), ("RETURN (MAX) ", third), ("RETURN (MIN MAX) ", third),
                              ("RETURN (MIN COUNT) ", second), ("RETURN () ", second)):
            self.assertEqual(self.modseqs(c.must(f"SEARCH {options}MODSEQ 1")), [want], options)
        self.assertEqual(c.must(f"SEARCH MODSEQ {second + 1}"), [b"* SEARCH"])


class Flags(Habits):
    def test_a_new_keyword_is_announced_to_everybody_before_it_is_used(self):
        a, b = self.filled(1), self.wire_imap(self.user, "INBOX")
        for rows in (a.must("STORE 1 +FLAGS ($New NonJunk)"), b.must("FETCH 1 FLAGS")):
            kinds = [r.split()[1] for r in rows]
            self.assertEqual(kinds[:2], [b"FLAGS", b"OK"], rows)
            self.assertIn(b"$New NonJunk \\*)]", rows[1])
            self.assertIn(b"$New NonJunk)", rows[2])
        self.assertIn(b"$New NonJunk)", a.must("STORE 1 +FLAGS ($NEW nonjunk)")[0])

    def test_more_keywords_than_a_row_has_bits_are_kept(self):
        c = self.filled(2)
        names = [f"kw{i}" for i in range(120)]
        for i in range(0, 120, 40):
            c.must(f"STORE 1 +FLAGS ({' '.join(names[i:i + 40])})")
        c.must(f"STORE 2 FLAGS ({names[110]})")
        other = self.wire_imap(self.user, "INBOX")
        rows = other.must("FETCH 1:2 FLAGS")
        self.assertEqual([set(re.search(rb"FLAGS \(([^)]*)\)", r).group(1).decode().split()) - {r"\Recent"} for r in rows],
                         [set(names), {names[110]}])
        self.assertEqual(other.must("SEARCH KEYWORD KW110 UNKEYWORD kw109"), [b"* SEARCH 2"])
        c.must("COPY 1 Trash")
        other.must("SELECT Trash")
        self.assertEqual(other.must("SEARCH KEYWORD kw0 KEYWORD kw60 KEYWORD kw119"), [b"* SEARCH 1"])

    def test_recent_goes_with_the_session_that_was_there_when_the_message_came(self):
        c = self.filled(1)
        self.append(c)
        self.assertIn(rb"\Recent", c.must("FETCH 2 FLAGS")[0])
        self.assertEqual(c.must("SEARCH OLD"), [b"* SEARCH"])
        c.must("CLOSE")
        other = self.wire_imap(self.user)
        self.assertIn(b"* 0 RECENT", other.must("SELECT INBOX"))
        self.assertEqual(other.must("SEARCH NEW"), [b"* SEARCH"])


class ReadOnly(Habits):
    def test_nothing_can_be_changed_in_a_mailbox_that_is_examined(self):
        c = self.filled(1)
        c.must(r"STORE 1 +FLAGS (\Deleted)")
        c.must("EXAMINE INBOX")
        for command in ("STORE 1 FLAGS ()", "UID STORE 1 FLAGS ()", "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 Trash", "UID MOVE 1 Trash"):
            status, text, _ = c.ask(command)
            self.assertEqual((status, text.split()[0]), ("NO", "[READ-ONLY]"), command)
        c.must("COPY 1 Trash")
        c.must("CLOSE")
        self.assertIn(b"* 1 EXISTS", c.must("SELECT INBOX"))


class Idle(Habits):
    def test_what_happened_before_idle_is_told_at_once(self):
        c = self.filled(1)
        other = self.wire_imap(self.user)
        self.append(other)
        c.send(b"x IDLE\r\n")
        self.assertEqual(c.response(), b"* 2 EXISTS")
        while not c.response().startswith(b"+"):
            pass
        c.send(b"DONE\r\ny NOOP\r\n")
        self.assertEqual([c.finish(b"x")[0], c.finish(b"y")[0]], ["OK", "OK"])

    def test_a_command_within_idle_ends_it_as_bad(self):
        c = self.filled(1)
        self.assertEqual([a[0] for a in self.said(c, b"x IDLE\r\nz NOOP\r\ny NOOP\r\n", b"x", b"y")], ["BAD", "OK"])


if __name__ == "__main__":
    case.main()
