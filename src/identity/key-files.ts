import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { KeyError, messageOf } from '../../lib/errors.ts'
import { type Certificate, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { X509Certificate } from '../../lib/keys/x509/certificate.ts'
import { parseX509File } from '../../lib/keys/x509/text.ts'
import type { Log } from '../../lib/log.ts'
import { isPrivateEnough, openPermissionsWarning, readRegularFile } from '../openssh/files.ts'
import { systemErrorText } from '../openssh/system-error.ts'

/** Largest file of a key that is read, in bytes. */
const fileLimit = 1024 * 1024

/** A public key file: a key, a certificate for one, or X.509 certificates of which the first is for it. */
export interface PublicKeyFile {
  readonly key: PublicKey
  readonly certificate?: Certificate
  readonly x509?: readonly X509Certificate[]
}

/** The first key of a public key file, comments before it passed over; undefined when there is none. */
export function readPublicKeyFile(file: string): PublicKeyFile | undefined {
  try {
    const text = readRegularFile(file, fileLimit).toString('latin1')
    const x509 = parseX509File(text)
    if (x509[0]) return { key: x509[0].publicKey, x509 }
    const line = text.split('\n').find(one => !/^\s*(#|$)/.test(one))
    return line === undefined ? undefined : parseKeyOrCertificateLine(line.trim())
  } catch {
    return undefined
  }
}

/** What is wrong with a file, in ssh's words. */
export const fileProblem = (error: unknown): string => systemErrorText(error) ?? messageOf(error)

export const loadProblem = (error: unknown): string =>
  error instanceof KeyError
    ? error.code === 'unknown-format' || error.code === 'malformed'
      ? 'invalid format'
      : error.message
    : fileProblem(error)

/**
 * The contents of a private key file. One of the user's own that others can read is warned of and not used.
 * @throws what the system says
 */
export function readPrivateKeyFile(file: string, log: Log): Buffer | undefined {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const status = fstatSync(fd)
    if (status.isFile() && !isPrivateEnough(status, process.getuid?.() ?? -1)) {
      for (const line of openPermissionsWarning(file, status.mode)) log.error(line)
      return undefined
    }
  } finally {
    closeSync(fd)
  }
  return readRegularFile(file, fileLimit)
}
