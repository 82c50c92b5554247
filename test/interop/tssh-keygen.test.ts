import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keygenInCopy, keygenOutput } from '../support/keygen.ts'
import { haveProgram } from '../support/programs.ts'

/**
 * The same command lines given to ssh-keygen and to tssh-keygen, in folders that begin alike: exit status, stdout, stderr,
 * which files change and their modes must agree. `$` in front of a row means that the words on stderr differ for a reason.
 * What stands behind `<<<` is stdin.
 */
const shown = `
-lf ed25519
-lf ed25519.pub
-lvf ed25519.pub
-lf nopub
-lf encnopub
-lf pemnopub
-lf enc
-lf p8enc
-lf ak
-l -E md5 -f ak
-l -E nohash -f ak
-l -v -f ed25519-cert.pub
-lf khplain
-lf khhash
-lf missing
-lf ed.4716
-l -f - <<< garbage\\n
-Bf rsa
-B -l -v -f ak
-yf ed25519
-yf pem
-yf dsa
-y -P secret -f enc
-y -P wrong -f enc
$-yf enc <<< secret\\n
-yf missing
-yf open
-yf ak
-y -P secret -f p8enc
-ef ed25519
-ef rsa
-ef dsa
-e -m PKCS8 -f rsa
-e -m PEM -f rsa
-e -m PKCS8 -f ecdsa
-e -m PEM -f ecdsa
-e -m foo -f ecdsa
-e -f missing
-i -f ed.4716
-i -m PKCS8 -f rsa.spki
-i -f cert.4716
-i -m PKCS8 -f rsa.p1
-i -m PKCS8 -f ed.4716
-i -m PEM -f ed25519.pub
$-i -m PEM -f rsa.spki
-Lf ed25519-cert.pub
-Lf rsa-cert.pub
-Lf ecdsa-cert.pub
-Lf ed25519.pub
-L -E md5 -f ed25519-cert.pub
-L -f missing
-L -f ak
-F h.example -f khplain
-F h.example -f khhash
-F H.EXAMPLE -f khplain
-F H.EXAMPLE -f khhash
-lvF h.example -f khplain
-F nope -f khplain
-F [h2.example]:2222 -f khplain
-F foo.wild -f khplain
-F foo.ca -f khplain
-qF h.example -f khplain
-F h.example -f missing
-l -H -f khplain
-r host -f rsa
-r host -f ed25519
-r host -f ecdsa
-r host -g -f ed25519
-r host -f missing
-r host -f dsa
-r host -f rsa-cert.pub
-Q -f ed25519 ed25519.pub
-Q ed25519.pub
-Y foo
-Y verify -n file -f ak
-Y check-novalidate -n file
-Y find-principals -f ak
-Y match-principals -f ak
-Y check-novalidate -n git -s signed.sig <<< signed\n
-K -O foo
-M foo
-M generate
extra
`

const changing = `
-R h.example -f khplain
-R h.example -f khhash
-R nope -f khplain
-R h.example -f khbad
-qR h.example -f khplain
-R x.y -f kheol
-H -f khplain
-H -f khhash
-H -f khbad
-q -t ed25519 -N ~ -f new
-t ed25519 -N ~ -f new -C cc -q
-q -t ed25519 -N ~ -f ed25519 <<< n\\n
-q -t ed25519 -N ~ -f ed25519 <<< y\\n
-q -t ed25519 -N ~ -f ed25519
-q -t rsa -b 512 -N ~ -f new
-q -t rsa -b 99999 -N ~ -f new
-q -t rsa -b abc -N ~ -f new
-q -t ecdsa -b 300 -N ~ -f new
-q -t ecdsa -b 521 -N ~ -f new
-q -t foo -N ~ -f new
$-q -t ed25519 -f new <<< secret\\nsecret\\n
$-q -t ed25519 -f new <<< secret\\nsecre\\nx\\nx\\n
-q -t ed25519 -N ~ -f nodir/new
-q -t ed25519 -N ~ -Z foo -f new
-q -t ed25519 -N ~ -a foo -f new
-q -t ed25519 -N ~ -Z none -f new
-q -t ed25519-sk -N ~ -O foo -f new
-q -t ed25519-sk -N ~ -O application=foo -f new
-q -t ed25519 -N secret -a 2 -Z chacha20-poly1305@openssh.com -f new
-q -t rsa -b 2048 -m PEM -N secret -f new
-q -t rsa -b 2048 -m PEM -N abc -f new
-q -t ecdsa -m PKCS8 -N secret -f new
-p -P ~ -N new -a 2 -f ed25519
-p -P wrong -N new -f enc
-p -P secret -N ~ -f enc
-p -a 2 -f enc <<< secret\\nnew\\nnew\\n
-p -f enc <<< secret\\nnew\\nother\\n
-p -f missing
-p -N ~ -f ed25519.pub
-p -N ~ -m PEM -f rsa
-p -N ~ -m PKCS8 -f ecdsa
-p -N secret -a 2 -f pem
-p -N secret -f open
-c -C newc -f ed25519
-c -C ~ -f ed25519
-c -f ed25519 <<< typed\\n
-c -C n -P secret -a 2 -f enc
-c -C n -P wrong -f enc
-c -C n -f pem
-c -C n -m PEM -f rsa
-c -p -f ed25519
-s ca -I id -n a,b rsa.pub
-s ca -I id -n a,b rsa dsa.pub ecdsa
-q -s ca -I id -n a,b -z +7 rsa.pub dsa.pub
$-s ca -I id rsa.pub
-s ca -n a rsa.pub
-s ca -I id -n a, rsa.pub
-s ca -I id -n a -V 20250101:20240101 rsa.pub
-s ca -I id -n a -V 20250101Z:20260101 rsa.pub
-s ca -I id -n a -V foo rsa.pub
-s ca -I id -n a -V 19690101:20200101 rsa.pub
-s ca -I id -n a -V 20200101z:20210101120000Z rsa.pub
-s ca -I id -n a -V 0x1:0x10000000000000000 rsa.pub
-s ca -I id -n a -V 20251301:forever rsa.pub
-s ca -I id -n a -V 0x10:0x20 rsa.pub
-s ca -I id -n a -O bogus rsa.pub
-s ca -I id -n a -O permit-pty -O clear -O extension:a=b=c -O critical:d rsa.pub
$-s ca -I id -n a -O source-address=foo rsa.pub
-s ca -I id -n a -O force-command= rsa.pub
-s ca -I id -n a -z foo rsa.pub
-s ca -I id -n a ed25519-cert.pub
-s ca -I id -n a missing.pub
-s missing -I id -n a rsa.pub
-s ca.pub -I id -n a rsa.pub
-s ca -I id -n a
-s rsa -t rsa-sha2-256 -I id -n a ecdsa.pub
-s rsa -t ssh-ed25519 -I id -n a ecdsa.pub
-s enc -P secret -I id -n a ecdsa.pub
-U -s ca -I id -n a ecdsa.pub
-k -f krl ed25519.pub rsa-cert.pub
-k -f krl -s ca - <<< serial: 5\\nserial: 7-9\\nid: foo # c\\n
-k -f krl -s none - <<< serial: 0x5\\nid: x\\n
-k -u -f krl ed25519.pub
-k ed25519.pub
-q -k -f krl -s ca - <<< serial: 5-\n
-q -k -f krl - <<< junk\n
-Y sign -n file -f ed25519 rsa.pub
-Y sign -n file -f ed25519.pub rsa.pub ca.pub
-Y sign -n file -f ed25519-cert.pub rsa.pub
$-Y sign -n file -f enc rsa.pub <<< secret\\n
-Y sign -n file -f missing rsa.pub
-Y sign -n file -f ed25519 missing
-Y sign -f ed25519 rsa.pub
-Y sign -n file rsa.pub
-Y sign -n file -f ed25519 -O foo rsa.pub
-M generate -O bits=10 out
-M generate -O foo out
-M screen -O foo out
-M screen -f missing out
`

interface Row {
  readonly args: readonly string[]
  readonly input: string
  readonly sameWords: boolean
}

const rows = (table: string): [string, Row][] =>
  table
    .trim()
    .split('\n')
    .map(line => {
      const [command = '', input = ''] = line.replace(/^\$/, '').split(' <<< ')
      const args = command.split(' ').map(word => (word === '~' ? '' : word))
      return [line, { args, input: input.replaceAll('\\n', '\n'), sameWords: !line.startsWith('$') }]
    })

/** Leaves out what may differ: names of programs and functions, what follows a usage line, and detail that we add. */
const words = (stderr: string): string =>
  stderr
    .replaceAll('tssh-keygen', 'ssh-keygen')
    .replace(/usage:[\s\S]*/, 'usage')
    .replace(/^[a-z]\w*_\w+: /gm, '')
    .replace(/invalid format \([^)]*\)/g, 'invalid format')
    .replace(/error in libcrypto/g, 'invalid format')
    .replaceAll(tmpdir(), '')

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-keygen-'))
  const real = (...args: string[]): Promise<string> => keygenOutput('real', args, { cwd: folder })
  const make = (name: string, ...args: string[]): Promise<string> => real('-q', '-f', name, '-C', `c ${name}`, ...args)
  const path = (name: string): string => join(folder, name)
  const key = (name: string): string => readFileSync(path(name), 'utf8').split(' ').slice(0, 2).join(' ')
  await make('ed25519', '-t', 'ed25519', '-N', '')
  await make('rsa', '-t', 'rsa', '-b', '2048', '-N', '')
  await make('ecdsa', '-t', 'ecdsa', '-N', '')
  await make('dsa', '-t', 'dsa', '-N', '')
  await make('ca', '-t', 'ed25519', '-N', '')
  await make('enc', '-t', 'ed25519', '-a', '2', '-N', 'secret')
  await make('pem', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', '')
  await make('p8enc', '-t', 'ecdsa', '-m', 'PKCS8', '-N', 'secret')
  const options = ['force-command=ls', 'no-pty', 'source-address=1.2.3.0/24', 'extension:foo@bar=baz', 'critical:z@q']
  const given = options.flatMap(option => ['-O', option])
  await real('-q', '-s', 'ca', '-I', 'id x', '-n', 'a,b', '-z', '5', '-V', '20200101:20300101', ...given, 'ed25519.pub')
  await real('-q', '-s', 'ca', '-h', '-I', 'host', '-n', 'h.example', '-V', 'always:forever', 'rsa.pub')
  await real('-q', '-s', 'ca', '-I', 'noprinc', 'ecdsa.pub')
  for (const [from, to, mode] of [
    ['ed25519', 'nopub', 0o600],
    ['enc', 'encnopub', 0o600],
    ['pem', 'pemnopub', 0o600],
    ['ed25519', 'open', 0o644],
  ] as const) {
    copyFileSync(path(from), path(to))
    chmodSync(path(to), mode)
  }
  const hosts = [
    '# comment',
    `h.example,1.2.3.4 ${key('ed25519.pub')} some comment`,
    `[h2.example]:2222 ${key('rsa.pub')}`,
    `*.wild ${key('ecdsa.pub')}`,
    `@cert-authority *.ca ${key('ca.pub')}`,
    `@revoked h.example ${key('ca.pub')}`,
    `!neg,other ${key('ca.pub')}`,
    '',
  ]
  writeFileSync(path('khhash'), `${hosts.join('\n')}\n`)
  await real('-q', '-H', '-f', 'khhash')
  rmSync(path('khhash.old'))
  writeFileSync(path('khplain'), `${hosts.join('\n')}\n`)
  writeFileSync(path('khbad'), `${hosts.join('\n')}\ngarbage\n`)
  writeFileSync(path('kheol'), `${hosts.join('\n')}\nx.y ${key('ca.pub')}`)
  writeFileSync(
    path('ak'),
    `${readFileSync(path('ed25519.pub'))}command="a b",no-pty ${readFileSync(path('rsa.pub'))}# c\nhost ${key('ca.pub')}\njunk\n`,
  )
  writeFileSync(path('ed.4716'), await real('-e', '-f', 'ed25519'))
  writeFileSync(path('cert.4716'), await real('-e', '-f', 'rsa-cert.pub'))
  writeFileSync(path('rsa.spki'), await real('-e', '-m', 'PKCS8', '-f', 'rsa'))
  writeFileSync(path('rsa.p1'), await real('-e', '-m', 'PEM', '-f', 'rsa'))
  writeFileSync(path('signed'), 'signed\n')
  await real('-q', '-Y', 'sign', '-n', 'file', '-f', 'ed25519', 'signed')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(!haveProgram('ssh-keygen'))('as ssh-keygen does', () => {
  test.concurrent.each([...rows(shown), ...rows(changing)])('%s', async (_, { args, input, sameWords }) => {
    const real = await keygenInCopy('real', args, folder, input)
    const ours = await keygenInCopy('ours', args, folder, input)
    const view = ({ status, stdout, stderr, changes }: typeof real) => ({
      status,
      stdout,
      changes,
      stderr: sameWords ? words(stderr) : '',
    })
    expect(view(ours)).toEqual(view(real))
  })
})
