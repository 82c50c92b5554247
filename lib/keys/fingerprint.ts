import { hash } from '../crypto/hash.ts'

/** A fingerprint as OpenSSH prints it: `SHA256:` and base64 without padding, or `MD5:` and hex pairs. */
export function fingerprint(blob: Buffer, kind: 'sha256' | 'md5' = 'sha256'): string {
  if (kind === 'sha256') return `SHA256:${hash('sha256', blob).toString('base64').replace(/=+$/, '')}`
  return `MD5:${hash('md5', blob).toString('hex').match(/../g)?.join(':') ?? ''}`
}
