/* nodemailer sends, imapflow reads: TLS on both, IDLE, flags, copies, downloads. Standard input is the set-up as JSON
 * (node_e2e.py); exit 0 when all went well. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';

const setup = JSON.parse(fs.readFileSync(0, 'utf8'));
const require = createRequire(setup.modules + '/');
const { ImapFlow } = require('imapflow');
const nodemailer = require('nodemailer');
const ca = fs.readFileSync(setup.ca);
const { alice, bob } = setup.users;

setTimeout(() => {
    console.error('not done within two minutes');
    process.exit(1);
}, 120000).unref();

function imap(user, secure) {
    return new ImapFlow({
        host: 'localhost',
        port: secure ? setup.ports.imaps : setup.ports.imap,
        secure,
        doSTARTTLS: secure ? undefined : true,
        auth: { user: user.address, pass: user.password },
        tls: { ca },
        logger: false,
    });
}

function transport(secure) {
    return nodemailer.createTransport({
        host: 'localhost',
        name: 'client.example.test',
        port: secure ? setup.ports.submissions : setup.ports.submission,
        secure,
        requireTLS: true,
        auth: { user: alice.address, pass: alice.password },
        tls: { ca },
    });
}

async function bytes(stream) {
    const parts = [];
    for await (const part of stream) {
        parts.push(part);
    }
    return Buffer.concat(parts);
}

const attachment = Buffer.alloc(300000);
for (let i = 0; i < attachment.length; i++) {
    attachment[i] = (i * 31) & 255;
}

/* One client idles in INBOX and must be told of what the other sends. */
const watcher = imap(bob, true);
await watcher.connect();
await watcher.mailboxOpen('INBOX');
const told = new Promise((resolve) => watcher.on('exists', resolve));
const idling = watcher.idle();

for (const secure of [false, true]) {
    const info = await transport(secure).sendMail({
        from: { name: 'Alicé', address: alice.address },
        to: bob.address,
        subject: `Grüße, ${secure ? 'TLS' : 'STARTTLS'} ✓`,
        text: 'Zeile mit Umlauten: äöü\n.\n..führender Punkt\n',
        html: '<p>äöü</p>',
        attachments: [{ filename: 'daten.bin', content: attachment }],
    });
    assert.deepEqual(info.accepted, [bob.address]);
}
const event = await told;
assert.ok(event.count >= 1, 'the idling client was not told of new mail');
await watcher.noop();
await idling;

await assert.rejects(transport(true).sendMail({ from: alice.address, to: 'nobody@example.test', text: 'x' }), (e) => e.responseCode === 550);

const client = imap(bob, false);
await client.connect();
await client.mailboxCreate(['Archiv', 'Jahr 2026']);
const lock = await client.getMailboxLock('INBOX');
const messages = await client.fetchAll('1:*', { uid: true, envelope: true, bodyStructure: true, flags: true, size: true, source: true });
assert.equal(messages.length, 2);
for (const m of messages) {
    assert.match(m.envelope.subject, /^Grüße, (STARTTLS|TLS) ✓$/);
    assert.equal(m.envelope.from[0].name, 'Alicé');
    assert.equal(m.size, m.source.length);
    const part = m.bodyStructure.childNodes.find((n) => n.disposition === 'attachment');
    assert.equal(part.dispositionParameters.filename, 'daten.bin');
    const { content } = await client.download(m.uid, part.part, { uid: true });
    assert.ok((await bytes(content)).equals(attachment), 'the attachment came back changed');
}
const uid = messages[0].uid;
assert.ok(await client.messageFlagsAdd(uid, ['\\Flagged', 'work'], { uid: true }));
assert.deepEqual(await client.search({ flagged: true }, { uid: true }), [uid]);
assert.deepEqual(await client.search({ subject: 'Grüße' }, { uid: true }), messages.map((m) => m.uid));
const copied = await client.messageCopy(uid, 'Archiv/Jahr 2026', { uid: true });
assert.equal(copied.uidMap.get(uid), 1);
const moved = await client.messageMove(messages[1].uid, 'Archiv/Jahr 2026', { uid: true });
assert.equal(moved.uidMap.size, 1);
await client.append('Archiv/Jahr 2026', await bytes(Readable.from([Buffer.from('Subject: appended\r\n\r\nx\r\n')])), ['\\Seen']);
assert.ok(await client.messageDelete(uid, { uid: true }));
lock.release();
const status = await client.status('Archiv/Jahr 2026', { messages: true, unseen: true, uidNext: true });
assert.equal(status.messages, 3);
assert.equal(status.uidNext, 4);
const names = (await client.list()).map((b) => b.path);
assert.ok(names.includes('Archiv/Jahr 2026'), names.join());
await client.mailboxDelete('Archiv/Jahr 2026');
await client.logout();
await watcher.logout();
console.log('all done');
