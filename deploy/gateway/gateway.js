// What nginx cannot say in its own language: the hash of a key, and answers that limits of rate come before.
//
// Everything here runs on the loop that serves all callers, so nothing reads a body.

import crypto from 'crypto';

const BEARER = /^Bearer ([A-Za-z0-9._~+\/=-]{8,})$/;

// The SHA-256 of the key in the header `authorization`, in hexadecimal; empty where there is none.
function keyHash(r) {
    const found = BEARER.exec(r.headersIn.authorization || '');
    return found ? crypto.createHash('sha256').update(found[1]).digest('hex') : '';
}

// The answer over HTTP to who has no key.
function unknownKey(r) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(401, JSON.stringify({ error: 'no API key, or an unknown one: send the header authorization: Bearer KEY' }));
}

// An answer that has headers alone.
function noContent(r) {
    r.return(204);
}

export default { keyHash, unknownKey, noContent };
