// What nginx cannot say in its own language: the hash of a key, and how deep a request is nested.

import crypto from 'crypto';

const BEARER = /^Bearer ([A-Za-z0-9._~+\/=-]{8,})$/;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MAX_DEPTH = 64;  // a request of KServe has five levels; thousands overflow the stack of Triton before 25.05

// The SHA-256 of the key in the header `authorization`, in hexadecimal; empty where there is none.
function keyHash(r) {
    const found = BEARER.exec(r.headersIn.authorization || '');
    return found ? crypto.createHash('sha256').update(found[1]).digest('hex') : '';
}

// Pass on what is a request of KServe for a pipeline. Triton 2.51 ends with a crash on deep nesting, and answers 500, as
// if it were its own fault, where a member is missing or of another type.
function infer(r) {
    const body = json(r);
    if (body === null) {
        refuse(r, 'Inference-Header-Content-Length must be between 1 and the length of the body');
    } else if (isDeep(body)) {
        r.return(422);
    } else {
        const wrong = fault(parsed(body.toString()));
        if (wrong) {
            refuse(r, wrong);
        } else {
            r.internalRedirect('@infer');
        }
    }
}

// The bytes of the JSON; null where the header tells of more than there is. Tensors may follow it as bytes.
function json(r) {
    const body = Number(r.headersIn['Content-Length']) === 0 ? Buffer.alloc(0) : r.requestBuffer || Buffer.alloc(0);
    const length = r.headersIn['Inference-Header-Content-Length'];
    if (length === undefined) {
        return body;
    }
    return /^[1-9][0-9]{0,8}$/.test(length) && Number(length) <= body.length ? body.slice(0, Number(length)) : null;
}

function refuse(r, why) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(400, JSON.stringify({ error: why }));
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch (error) {
        return undefined;
    }
}

// What is wrong with a request; empty where nothing is. Texts are not repeated.
function fault(request) {
    if (!isObject(request)) {
        return 'the body of an inference request must be one JSON object';
    }
    if (!Array.isArray(request.inputs)) {
        return 'inputs must be a list of tensors';
    }
    if (request.outputs !== undefined && !Array.isArray(request.outputs)) {
        return 'outputs must be a list';
    }
    const tensors = request.inputs.concat(request.outputs || []);
    return (
        strange(request, ['id', 'parameters', 'inputs', 'outputs']) ||
        (request.id !== undefined && typeof request.id !== 'string' ? 'id must be a string' : '') ||
        first(request.inputs, tensorFault) ||
        first(request.outputs || [], (output) => (isObject(output) ? strange(output, ['name', 'parameters']) : '')) ||
        first(tensors, (each) => (isObject(each) && typeof each.name === 'string' ? '' : 'each tensor needs a name')) ||
        first([request].concat(tensors), parameterFault)
    );
}

function tensorFault(tensor) {
    if (!isObject(tensor) || typeof tensor.datatype !== 'string') {
        return 'each input needs a datatype';
    }
    if (!Array.isArray(tensor.shape) || !tensor.shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
        return 'the shape of an input must be a list of whole numbers';
    }
    if (tensor.data !== undefined && !isTexts(tensor.data)) {
        return 'the data of an input must be a list of strings, or of lists of strings';
    }
    return strange(tensor, ['name', 'shape', 'datatype', 'data', 'parameters']);
}

function parameterFault(holder) {
    const parameters = holder.parameters;
    if (parameters === undefined) {
        return '';
    }
    const plain = (value) => ['string', 'boolean'].includes(typeof value) || Number.isSafeInteger(value);
    const fine = isObject(parameters) && Object.keys(parameters).every((key) => plain(parameters[key]));
    return fine ? '' : 'parameters must be an object of strings, whole numbers and booleans';
}

function strange(object, known) {
    return Object.keys(object).every((key) => known.includes(key)) ? '' : `only ${known.join(', ')} may be given`;
}

function isTexts(data) {
    const isList = (value) => Array.isArray(value) && value.every((each) => typeof each === 'string');
    return isList(data) || (Array.isArray(data) && data.every(isList));
}

function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// The first thing that is wrong with one of several.
function first(items, check) {
    for (let at = 0; at < items.length; at++) {
        const wrong = check(items[at]);
        if (wrong) {
            return wrong;
        }
    }
    return '';
}

// Whether brackets are nested deeper than MAX_DEPTH outside strings. Time is linear in the bytes of the body, whatever
// they are: a regular expression here let one request hold a worker for minutes.
function isDeep(body) {
    const end = body.length;
    let level = 0;
    for (let at = 0; at < end; at++) {
        const byte = body[at];
        if (byte === QUOTE) {
            at++;
            while (at < end && body[at] !== QUOTE) {
                at += body[at] === BACKSLASH ? 2 : 1;
            }
        } else if (byte === 0x5b || byte === 0x7b) {  // [ {
            level++;
            if (level > MAX_DEPTH) {
                return true;
            }
        } else if (byte === 0x5d || byte === 0x7d) {  // ] }
            level--;
        }
    }
    return false;
}

export default { keyHash, infer };
