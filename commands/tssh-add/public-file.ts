import { KeyError } from '../../lib/errors.ts'
import { type KeyOrCertificateLine, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { publicPartOf } from '../../lib/keys/formats/private-file.ts'
import { readRegularFile } from '../../src/openssh/files.ts'
import { systemErrorCode } from '../../src/openssh/system-error.ts'

/** Largest key file, in bytes. */
export const keyFileLimit = 1024 * 1024

/** Reads a public key or certificate from a file of one. @throws KeyError, and what the system says */
export function readPublicFile(path: string): KeyOrCertificateLine {
  const line = readRegularFile(path, keyFileLimit)
    .toString('utf8')
    .split(/\r?\n/)
    .find(text => text.trim() !== '' && !text.trimStart().startsWith('#'))
  return parseKeyOrCertificateLine(line ?? '')
}

/** The public half that belongs to a name: of the file itself, of the `.pub` beside it, or out of a private key. */
export function loadPublic(path: string): KeyOrCertificateLine {
  try {
    return readPublicFile(path)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return readPublicFile(`${path}.pub`)
    if (!(error instanceof KeyError)) throw error
    const key = besideOf(path) ?? fromPrivate(path)
    if (!key) throw error
    return key
  }
}

function besideOf(path: string): KeyOrCertificateLine | undefined {
  try {
    return readPublicFile(`${path}.pub`)
  } catch {
    return undefined
  }
}

function fromPrivate(path: string): KeyOrCertificateLine | undefined {
  const contents = readRegularFile(path, keyFileLimit)
  const key = contents.includes('PRIVATE KEY') ? publicPartOf(contents) : undefined
  return key && { key, comment: '' }
}

/** The certificate of a key file; undefined when there is none. @throws KeyError, and what the system says */
export function readCertificateBeside(path: string): Required<KeyOrCertificateLine> | undefined {
  let line: KeyOrCertificateLine
  try {
    line = readPublicFile(path)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
  if (!line.certificate) throw new KeyError('unknown-format', 'not a certificate')
  return { ...line, certificate: line.certificate }
}
