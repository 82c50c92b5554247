import { KeyError, messageOf } from '../../lib/errors.ts'
import { type Certificate, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { isRevoked as isInKrl } from '../../lib/keys/krl.ts'
import { isKrl, parseKrl } from '../../lib/keys/krl-format.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import { readRegularFile } from './files.ts'
import { systemErrorText } from './system-error.ts'

/** Largest revocation list that is read, in bytes. */
const fileLimit = 64 * 1024 * 1024

/**
 * Whether a file (RevokedKeys, RevokedHostKeys: a key revocation list, or one public key a line) names a key, its
 * certificate or the authority of that.
 * @throws KeyError when the file cannot be read whole: then nothing may be taken for not revoked
 */
export function isRevoked(path: string, key: PublicKey, certificate?: Certificate): boolean {
  const contents = contentsOf(path)
  if (isKrl(contents)) return isInKrl(parseKrl(contents), certificate ?? key)
  return contents
    .toString('latin1')
    .split('\n')
    .filter(line => !/^[ \t]*(#|$)/.test(line))
    .map(line => parseKeyOrCertificateLine(line).key)
    .some(revoked => revoked.equals(key) || certificate?.signatureKey.equals(revoked) === true)
}

function contentsOf(path: string): Buffer {
  try {
    return readRegularFile(path, fileLimit)
  } catch (error) {
    throw new KeyError('not-valid', systemErrorText(error) ?? messageOf(error), { cause: error })
  }
}
