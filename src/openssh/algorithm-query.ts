import { allAlgorithms } from '../../lib/algorithms/index.ts'
import { allSignatureAlgorithms, isPlainAlgorithm } from '../../lib/keys/algorithms.ts'

const namesOf = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name)
const plain = (names: readonly string[]): string[] => names.filter(isPlainAlgorithm)
const certificates = (names: readonly string[]): string[] => names.filter(name => !isPlainAlgorithm(name))

/** Signature algorithms that are only another way to sign with a key of another name. */
const signatureOnly = /^(rsa-sha2-|webauthn-|ssh-rsa-sha|x509v3-rsa2048-)/

const keyTypes = (): string[] => allSignatureAlgorithms.filter(name => !signatureOnly.test(name))

const topics: Readonly<Record<string, () => readonly string[]>> = {
  cipher: () => namesOf(allAlgorithms.cipher),
  'cipher-auth': () => namesOf(allAlgorithms.cipher.filter(({ authenticated }) => authenticated)),
  compression: () => namesOf(allAlgorithms.compression),
  kex: () => namesOf(allAlgorithms.kex),
  key: keyTypes,
  'key-ca-sign': () => plain(allSignatureAlgorithms),
  'key-cert': () => certificates(keyTypes()),
  'key-plain': () => plain(keyTypes()),
  'key-sig': () => allSignatureAlgorithms,
  mac: () => namesOf(allAlgorithms.mac),
  'protocol-version': () => ['2'],
  sig: () => plain(allSignatureAlgorithms),
}

/** Keywords of ssh_config(5) and sshd_config(5), in lower case, that ask the same. */
const keywords: Readonly<Record<string, string>> = {
  ciphers: 'cipher',
  macs: 'mac',
  kexalgorithms: 'kex',
  casignaturealgorithms: 'key-ca-sign',
  pubkeyacceptedkeytypes: 'key-sig',
  pubkeyacceptedalgorithms: 'key-sig',
  hostkeyalgorithms: 'key-sig',
  hostbasedkeytypes: 'key-sig',
  hostbasedacceptedkeytypes: 'key-sig',
  hostbasedacceptedalgorithms: 'key-sig',
}

/** What `-Q` prints: the names of one kind that this engine has, on or off. Undefined for a query that there is not. */
export function queryAlgorithms(query: string): readonly string[] | undefined {
  if (query === 'help') return Object.keys(topics).filter(topic => topic !== 'key-ca-sign')
  const topic = Object.hasOwn(topics, query) ? query : keywords[query.toLowerCase()]
  return topic === undefined ? undefined : topics[topic]!()
}
