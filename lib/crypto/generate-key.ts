import {
  createPrivateKey,
  type ED25519KeyPairOptions,
  generateKeyPair,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'

/**
 * New keys of OpenSSL, each made as DER and read again.
 *
 * A KeyObject that Node generates shares a lock with the job that made it. Reading its numbers holds the lock and
 * allocates; a garbage collection at that moment frees the job, which takes the lock too, and the process stands still
 * for ever (seen with Node 20.20). A key that was read has no job.
 */

const encoding: ED25519KeyPairOptions<'der', 'der'> = {
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
}

function read(der: Buffer): KeyObject {
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

export const newEdwardsKey = (curve: 'ed25519' | 'ed448'): KeyObject =>
  // The overloads know one name each.
  read((curve === 'ed25519' ? generateKeyPairSync(curve, encoding) : generateKeyPairSync(curve, encoding)).privateKey)

export const newEcKey = (namedCurve: string): KeyObject =>
  read(generateKeyPairSync('ec', { namedCurve, ...encoding }).privateKey)

export const newRsaKey = (modulusLength: number): KeyObject =>
  read(generateKeyPairSync('rsa', { modulusLength, ...encoding }).privateKey)

export const newDsaKey = (modulusLength: number, divisorLength: number): KeyObject =>
  read(generateKeyPairSync('dsa', { modulusLength, divisorLength, ...encoding }).privateKey)

/** Made off the event loop's thread. */
export const newRsaKeyLater = (modulusLength: number): Promise<KeyObject> =>
  new Promise((resolve, reject) => {
    generateKeyPair('rsa', { modulusLength, ...encoding }, (error, _, privateKey) =>
      error ? reject(error) : resolve(read(privateKey)),
    )
  })
