/**
 * What outside our own code says that an algorithm is right. Every name of the registry must have a row
 * (evidence.test.ts): adding an algorithm means adding a line here.
 */
export type Evidence =
  /** Sessions that evidence.test.ts runs: our client against this server, our server against this client. */
  | 'openssh server'
  | 'openssh client'
  | 'asyncssh server'
  | 'asyncssh client'
  /** A test file that names this algorithm, or this mark, and holds published vectors or runs another program. */
  | { readonly test: string; readonly mark?: string }
  /** The same method under another name, which has evidence. */
  | { readonly sameAs: string }

type Rows = Readonly<Record<string, readonly Evidence[]>>

const openssh: readonly Evidence[] = ['openssh server', 'openssh client']
const asyncssh: readonly Evidence[] = ['asyncssh server', 'asyncssh client']

export const kexEvidence: Rows = {
  'mlkem768x25519-sha256': [{ test: 'test/crypto/mlkem.test.ts' }],
  'mlkem768nistp256-sha256': [{ test: 'test/crypto/mlkem.test.ts' }],
  'mlkem1024nistp384-sha384': [{ test: 'test/crypto/mlkem.test.ts' }],
  'sntrup761x25519-sha512': [{ sameAs: 'sntrup761x25519-sha512@openssh.com' }],
  'sntrup761x25519-sha512@openssh.com': openssh,
  'curve25519-sha256': [...openssh, ...asyncssh],
  'curve25519-sha256@libssh.org': openssh,
  'curve448-sha512': asyncssh,
  'ecdh-sha2-nistp256': openssh,
  'ecdh-sha2-nistp384': openssh,
  'ecdh-sha2-nistp521': openssh,
  'ecdh-sha2-1.3.132.0.10': asyncssh,
  'diffie-hellman-group-exchange-sha256': openssh,
  'diffie-hellman-group-exchange-sha1': openssh,
  'diffie-hellman-group-exchange-sha224@ssh.com': asyncssh,
  'diffie-hellman-group-exchange-sha384@ssh.com': asyncssh,
  'diffie-hellman-group-exchange-sha512@ssh.com': asyncssh,
  'diffie-hellman-group1-sha1': openssh,
  'diffie-hellman-group14-sha1': openssh,
  'diffie-hellman-group14-sha256': openssh,
  'diffie-hellman-group15-sha512': asyncssh,
  'diffie-hellman-group16-sha512': openssh,
  'diffie-hellman-group17-sha512': asyncssh,
  'diffie-hellman-group18-sha512': openssh,
  'diffie-hellman-group14-sha224@ssh.com': asyncssh,
  'diffie-hellman-group14-sha256@ssh.com': [{ sameAs: 'diffie-hellman-group14-sha256' }],
  'diffie-hellman-group15-sha256@ssh.com': asyncssh,
  'diffie-hellman-group15-sha384@ssh.com': asyncssh,
  'diffie-hellman-group16-sha384@ssh.com': asyncssh,
  'diffie-hellman-group16-sha512@ssh.com': [{ sameAs: 'diffie-hellman-group16-sha512' }],
  'diffie-hellman-group18-sha512@ssh.com': [{ sameAs: 'diffie-hellman-group18-sha512' }],
  'rsa2048-sha256': asyncssh,
  'rsa1024-sha1': asyncssh,
}

export const cipherEvidence: Rows = {
  'chacha20-poly1305@openssh.com': openssh,
  'aes128-gcm@openssh.com': [...openssh, ...asyncssh],
  'aes256-gcm@openssh.com': openssh,
  'aes128-ctr': openssh,
  'aes192-ctr': openssh,
  'aes256-ctr': openssh,
  'aes128-cbc': openssh,
  'aes192-cbc': openssh,
  'aes256-cbc': openssh,
  '3des-cbc': openssh,
  'rijndael-cbc@lysator.liu.se': [{ sameAs: 'aes256-cbc' }],
  'blowfish-cbc': asyncssh,
  'cast128-cbc': asyncssh,
  'seed-cbc@ssh.com': asyncssh,
  arcfour256: asyncssh,
  arcfour128: asyncssh,
  arcfour: asyncssh,
}

export const macEvidence: Rows = {
  'umac-64-etm@openssh.com': openssh,
  'umac-128-etm@openssh.com': openssh,
  'hmac-sha2-256-etm@openssh.com': openssh,
  'hmac-sha2-512-etm@openssh.com': openssh,
  'hmac-sha1-etm@openssh.com': openssh,
  'umac-64@openssh.com': openssh,
  'umac-128@openssh.com': openssh,
  'hmac-sha2-256': openssh,
  'hmac-sha2-512': openssh,
  'hmac-sha1': openssh,
  'hmac-md5': openssh,
  'hmac-md5-96': openssh,
  'hmac-sha1-96': openssh,
  'hmac-md5-etm@openssh.com': openssh,
  'hmac-md5-96-etm@openssh.com': openssh,
  'hmac-sha1-96-etm@openssh.com': openssh,
  'hmac-sha2-256-96': asyncssh,
  'hmac-sha2-512-96': asyncssh,
  'hmac-sha2-256-96-etm@openssh.com': asyncssh,
  'hmac-sha2-512-96-etm@openssh.com': asyncssh,
  'hmac-sha224@ssh.com': asyncssh,
  'hmac-sha256@ssh.com': asyncssh,
  'hmac-sha256-2@ssh.com': asyncssh,
  'hmac-sha256-96@ssh.com': asyncssh,
  'hmac-sha256-96-2@ssh.com': asyncssh,
  'hmac-sha384@ssh.com': asyncssh,
  'hmac-sha512@ssh.com': asyncssh,
}

export const compressionEvidence: Rows = {
  none: openssh,
  'zlib@openssh.com': openssh,
  // Our client asks for OpenSSH's delayed kind first, and asyncssh has both.
  zlib: ['asyncssh client'],
}
