-- The same check in Lua. HMAC and SHA-256 come from the libcrypto that nginx has loaded, through LuaJIT's FFI: the
-- fastest way there is from Lua.
local ffi = require "ffi"
local base64 = require "ngx.base64"
local cjson = require "cjson.safe"

ffi.cdef [[
typedef struct evp_md_st EVP_MD;
const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *d, size_t n,
                    unsigned char *out, unsigned int *out_len);
unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *out);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
]]

local C = ffi.C
local SECRET = "${secret}"
local API_KEY = "${api_key}"
local MAX_AGE, LEEWAY = 300, 30
local sha256 = C.EVP_sha256()
local digest = ffi.new("unsigned char[32]")
local digest_length = ffi.new("unsigned int[1]")
local decode = base64.decode_base64url

local HEX = {}
for byte = 0, 255 do HEX[byte] = string.format("%02x", byte) end

local function hex(bytes)
    local parts = {}
    for index = 0, 31 do parts[index + 1] = HEX[bytes[index]] end
    return table.concat(parts)
end

local function body()
    ngx.req.read_body()
    local data = ngx.req.get_body_data()
    if data then return data end
    local path = ngx.req.get_body_file()
    if not path then return "" end
    local file = assert(io.open(path, "rb"))
    data = file:read("*a")
    file:close()
    return data
end

local function verified(value)
    local signed, header, claims, signature =
        value:match("^Bearer (([%w_-]+)%.([%w_-]+))%.([%w_-]+)$")
    if not signed then return false end
    header = cjson.decode(decode(header) or "")
    if type(header) ~= "table" or header.alg ~= "HS256" then return false end
    signature = decode(signature)
    if not signature or #signature ~= 32 then return false end
    C.HMAC(sha256, SECRET, #SECRET, signed, #signed, digest, digest_length)
    if C.CRYPTO_memcmp(digest, signature, 32) ~= 0 then return false end
    claims = cjson.decode(decode(claims) or "")
    if type(claims) ~= "table" or claims.iss ~= "Vonage" or claims.api_key ~= API_KEY then return false end
    local now = ngx.time()
    if type(claims.iat) ~= "number" or now - claims.iat > MAX_AGE or claims.iat > now + LEEWAY then return false end
    local data = body()
    C.SHA256(data, #data, digest)
    return hex(digest) == claims.payload_hash
end

local module = {}

function module.request()
    local value = ngx.var.http_authorization
    if not value or not verified(value) then return ngx.exit(401) end
end

return module
