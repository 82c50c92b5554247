/** Numbers and bounds of the agent protocol (RFC 9987; extensions in OpenSSH's PROTOCOL.agent). */

export const agentMessage = {
  failure: 5,
  success: 6,
  removeAllVersion1: 9,
  requestIdentities: 11,
  identitiesAnswer: 12,
  signRequest: 13,
  signResponse: 14,
  addIdentity: 17,
  removeIdentity: 18,
  removeAllIdentities: 19,
  addToken: 20,
  removeToken: 21,
  lock: 22,
  unlock: 23,
  addIdentityConstrained: 25,
  addTokenConstrained: 26,
  extension: 27,
  extensionFailure: 28,
  extensionResponse: 29,
} as const

/** Flags of a sign request, by the algorithm that they ask for. */
export const rsaFlags: Readonly<Record<string, number>> = { 'rsa-sha2-256': 2, 'rsa-sha2-512': 4 }

export const constraintType = { lifetime: 1, confirm: 2, extension: 255 } as const

export const extensionName = {
  query: 'query',
  sessionBind: 'session-bind@openssh.com',
  restrictDestination: 'restrict-destination-v00@openssh.com',
  associatedCertificates: 'associated-certs-v00@openssh.com',
  securityKeyProvider: 'sk-provider@openssh.com',
} as const

/** Longest message in either direction, in bytes, its length field left out. */
export const messageLimit = 256 * 1024
/** Most keys that an agent holds, and that a client takes. */
export const keyLimit = 2048
/** Bytes that the largest private key takes: no copy of a secret stays behind where a buffer had to grow. */
export const secretRoom = 16 * 1024
