import { expect, test } from 'vitest'
import { flagOption, issueCertificate } from '../../lib/keys/certificate-issue.ts'
import { generateKey, PrivateKey } from '../../lib/keys/private-key.ts'
import { certifiedSigner, keySigner, type Signer } from '../../lib/keys/signer.ts'
import { type Candidate, describeIdentity, orderIdentities } from '../../src/identity/order.ts'
import { securityKeyNumbers } from '../support/security-key.ts'

/** What Debian's ssh does not show: among keys that nobody named, OpenSSH 10.5 puts certificates first. */

const securityKey = (): PrivateKey => new PrivateKey(securityKeyNumbers())

const authority = keySigner(generateKey('ed25519'))
async function certified(
  key: PrivateKey,
  name: string,
  option?: 'verify-required' | 'no-touch-required',
): Promise<Signer> {
  const options = new Map(option ? [[option, flagOption]] : [])
  const certificate = await issueCertificate(
    {
      ...{ publicKey: key.publicKey, kind: 'user', keyId: name, principals: ['nobody'] },
      ...(option === 'verify-required' ? { criticalOptions: options } : { extensions: options }),
    },
    authority,
  )
  return certifiedSigner(keySigner(key, name), certificate)
}

test('certificates before plain keys, and what needs less of the user first', async () => {
  const agent = [
    keySigner(generateKey('ed25519'), 'plain'),
    await certified(securityKey(), 'needs a PIN', 'verify-required'),
    await certified(generateKey('ed25519'), 'certificate'),
    keySigner(generateKey('ecdsa', 256), 'another'),
    await certified(securityKey(), 'needs no touch', 'no-touch-required'),
  ]
  const settings = { identitiesOnly: false, acceptedAlgorithms: undefined, log: { error() {}, info() {} } }
  const names = (own: readonly Candidate[]): string[] =>
    orderIdentities(own, [], agent, settings).map(({ name }) => name)
  expect(names([])).toEqual(['needs no touch', 'certificate', 'needs a PIN', 'plain', 'another'])
  // A file that the user named keeps its place.
  const { publicKey } = agent[3]!
  const file: Candidate = { file: 'named', isExplicit: true, publicKey, signer: async () => undefined }
  expect(names([file])).toEqual(['named', 'needs no touch', 'certificate', 'needs a PIN', 'plain'])
  // One of the usual places does not.
  const usual = orderIdentities([{ ...file, file: 'usual', isExplicit: false }], [], agent, settings)
  expect(usual.map(({ name }) => name)).toEqual(['needs no touch', 'certificate', 'needs a PIN', 'usual', 'plain'])
  expect(usual.map(identity => describeIdentity(identity, 'md5').replace(/MD5:\S+/, ''))).toEqual([
    'needs no touch ED25519-SK-CERT  authenticator agent',
    'certificate ED25519-CERT  agent',
    'needs a PIN ED25519-SK-CERT  authenticator agent',
    'usual ECDSA  agent',
    'plain ED25519  agent',
  ])
})
