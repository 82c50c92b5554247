/** Names of public key algorithms that are taken and used by default: all but SHA-1 and curiosities. */

const families = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519',
  'sk-ecdsa-sha2-nistp256',
  'webauthn-sk-ecdsa-sha2-nistp256',
  'rsa-sha2-512',
  'rsa-sha2-256',
]

/** Of plain keys, in OpenSSH's order. */
export const defaultPlainSignatureAlgorithms: readonly string[] = families.map(name =>
  name.includes('sk-') ? `${name}@openssh.com` : name,
)

/** Of host and user keys: certificates before plain keys, as in OpenSSH. */
export const defaultSignatureAlgorithms: readonly string[] = [
  ...families.map(name => `${name}-cert-v01@openssh.com`),
  ...defaultPlainSignatureAlgorithms,
]
