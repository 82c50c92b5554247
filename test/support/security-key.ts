import { generateKey } from '../../lib/keys/private-key.ts'

/** The numbers of a new key of a security key: a valid public half, and a handle that no device knows. */
export const securityKeyNumbers = () =>
  ({
    kind: 'sk-ed25519',
    publicValue: generateKey('ed25519').publicKey.blob.subarray(-32),
    application: 'ssh:',
    flags: 1,
    keyHandle: Buffer.from('handle'),
    reserved: Buffer.alloc(0),
  }) as const
