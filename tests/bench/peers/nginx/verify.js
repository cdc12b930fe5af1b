// The same check in njs, with its own `crypto` module.
import crypto from 'crypto';

const SECRET = '${secret}';
const API_KEY = '${api_key}';
const MAX_AGE = 300;
const LEEWAY = 30;

function verified(r) {
    const value = r.headersIn.Authorization;
    if (!value || !value.startsWith('Bearer ')) {
        return false;
    }
    const parts = value.slice(7).split('.');
    if (parts.length !== 3) {
        return false;
    }
    const signature = crypto.createHmac('sha256', SECRET).update(parts[0] + '.' + parts[1]).digest('base64url');
    if (signature !== parts[2]) {
        return false;
    }
    const header = JSON.parse(Buffer.from(parts[0], 'base64url').toString());
    const claims = JSON.parse(Buffer.from(parts[1], 'base64url').toString());
    if (header.alg !== 'HS256' || claims.iss !== 'Vonage' || claims.api_key !== API_KEY) {
        return false;
    }
    const now = Date.now() / 1000;
    if (typeof claims.iat !== 'number' || now - claims.iat > MAX_AGE || claims.iat > now + LEEWAY) {
        return false;
    }
    const body = r.requestBuffer || '';
    return crypto.createHash('sha256').update(body).digest('hex') === claims.payload_hash;
}

function request(r) {
    let good = false;
    try {
        good = verified(r);
    } catch (error) {
        good = false;
    }
    if (good) {
        r.internalRedirect('@application');
    } else {
        r.return(401);
    }
}

export default { request };
