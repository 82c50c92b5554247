import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { haveProgram } from '../support/programs.ts'
import { type Ran, runText } from '../support/run-text.ts'

/** The same commands for OpenSSH's sftp and for tsftp, with the same server: the same words, statuses and files. */

const tsftp = fileURLToPath(new URL('../../bin/tsftp.js', import.meta.url))
const sftpServer = '/usr/lib/openssh/sftp-server'
const haveServer = existsSync(sftpServer) && existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tssh-same-')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

type Program = (args: readonly string[], input: string, cwd: string) => Promise<Ran>
const ours: Program = (args, input, cwd) => runText(process.execPath, [tsftp, ...args], input, cwd)
const sftp: Program = (args, input, cwd) => runText('sftp', args, input, cwd)

/** What both programs are given. The figures of df and the names in `ls -n` differ between releases, so they are not here. */
const script = `
pwd
ls
ls -1
ls -l
ls -la
ls -lh dir
ls -t
ls -S1
ls -r1
ls *.txt
ls -l *.txt
ls -1 dir
ls -l dir/big
ls -1a
ls {a,b}.txt
ls dlnk
-ls nothing
-ls no*
-cd nothing
-cd a.txt
cd dir
pwd
ls -l
cd ..
version
lpwd
-get nothing
get a.txt ../loc/
get a.txt ../loc/renamed
get -p b.txt ../loc
-get dir ../loc
get -r dir ../loc
-get *.txt nodir
get *.txt ../loc
put a.txt up.txt
put -p b.txt up2.txt
-put nothing
-put dir
put -r dir updir
mkdir made
-mkdir made
rename up.txt up3.txt
-rename none x
ln a.txt hard
ln -s a.txt soft
symlink b.txt soft2
chmod 600 up3.txt
-chmod 600 none
chmod 644 *.txt
rm hard
-rm none
-rmdir dir
rmdir made
-rmdir none
"ls" 'sp ace'
ls sp\\ ace
ls "st*r"
ls st\\*r
cp a.txt copy.txt
-cp dir copy2
-foo
-chmod abc a.txt
-get
-rename one
-ls -Z
@pwd
-@cd none
lumask 022
progress
progress
!echo shell
lls ../loc
# comment
-reget a.txt ../loc/renamed
-get "unterminated
bye
pwd
`

/** The other commands, flags, quotes and patterns. Needs root, for chown. */
const moreScript = `
mget *.txt ../loc
mget -p dir/big "../loc/sp big"
-mget nothing*
mput ../loc/*.txt empty
-mput ../loc/nothing*
mput -r ../loc empty
put ../loc/a.txt up.txt
!printf hel > up.txt
reput ../loc/a.txt up.txt
-reput ../loc/nothing up.txt
reget a.txt ../loc/new
-reget nothing ../loc
get -a a.txt ../loc/new
get -P b.txt ../loc/bp
-get -R dir ../loc/tree
put -f ../loc/a.txt flushed
!printf hel > flushed
put -a ../loc/a.txt flushed
-put -x ../loc/a.txt
get a.txt b.txt extra
-put a b c
chown 1 a.txt
chgrp 4 a.txt b.txt
-chown x a.txt
-chown 1
-chown 1 none
chown -h 1 lnk
chgrp -h 4 dlnk
chmod -h 600 b.txt
-chmod 999 b.txt
-chmod
chmod 0755 dir
ls -la empty
ls -f1
ls -tr1 ?.txt
ls -Sr1 dir
ls -h1
ls -l a.txt b.txt
-ls -l none a.txt
ls ?.txt
ls [ab].txt
ls "[ab].txt"
-ls '?.txt'
ls -1 dir*/
ls -d
ls dir/../dir
ls -1 dir/*
ls -1 */*
cd
cd dir/sub
pwd
cd ../..
cd "sp ace"
-cd "" 
lcd ../loc
lpwd
-lcd /nonexistent
lcd ..
lcd srv
lmkdir ../loc/lm
-lmkdir ../loc/lm
lls -a ../loc/lm
-lls /nonexistent
mkdir "made here"
mkdir made\\ there
mkdir -p xx
mkdir 'quo"te'
mkdir "quo'te2"
mkdir "back\\\\slash"
-mkdir a/b/c
rmdir "made here"
rm st\\*r
rm "sp ace"
rm *.none
-rm dir
rm -f a.txt
rename b.txt "b renamed"
rename "b renamed" a.txt
-rename dir a.txt
-rename -l a.txt up.txt
ln -s "with space" "sl ink"
-ln none hardnone
ln a.txt "hard link"
-symlink a.txt a.txt
copy a.txt "copy of a"
-copy none x
-cp a.txt dir
cp a.txt dir/in
cp dir/big dir/big2
umask 022
lumask 077
get a.txt ../loc/masked
-lumask 999
-lumask
@ls a.txt
-@ls none
@-ls none
!true
-!false
!exit 3
LS a.txt
Pwd
version
-version x
progress
progress x
-ls -
-get --
ls --
ls -- a.txt
-rm
-ln x
-cd a b
pwd extra
-exit now
`

/** Each as a batch of its own: what is said and the exit status. */
const failures = [
  'get nothing',
  'get -r nothing ../loc',
  'get *.nothing',
  'get a.txt /nonexistent/x',
  'get dir',
  'put nothing',
  'put a.txt /nonexistent/x',
  'put dir',
  'reget nothing',
  'cd nothing',
  'cd a.txt',
  'lcd nothing',
  'ls nothing',
  'mkdir dir',
  'mkdir no/dir',
  'rmdir dir',
  'rmdir none',
  'rm none',
  'rm dir',
  'rename none x',
  'ln none x',
  'ln -s x a.txt',
  'chmod 600 none',
  'chmod 8 a.txt',
  'cp none x',
  'cp dir x',
  'lmkdir dir',
  '!exit 7',
  'lls /nonexistent',
  'nonsense',
  'get "open',
]

function prepare(root: string): void {
  const at = (name: string): string => join(root, 'srv', name)
  mkdirSync(at('dir/sub'), { recursive: true })
  mkdirSync(join(root, 'loc'))
  mkdirSync(at('empty'))
  for (const [name, text] of [
    ['a.txt', 'hello\n'],
    ['b.txt', 'world\n'],
    ['sp ace', 'x'],
    ['st*r', 'y'],
    ['esc\x1b[31m', 'e'],
    ['.hidden', ''],
    ['dir/big', 'b'.repeat(100_000)],
    ['dir/sub/s', 's\n'],
  ] as const) {
    writeFileSync(at(name), text, { mode: name === 'b.txt' ? 0o640 : 0o644 })
    utimesSync(at(name), 1_600_000_000, 1_600_000_000 + name.length * 1000)
  }
  writeFileSync(Buffer.concat([Buffer.from(at('bad')), Buffer.of(0xff)]), 'q')
  symlinkSync('a.txt', at('lnk'))
  symlinkSync('dir', at('dlnk'))
  symlinkSync('nowhere', at('broken'))
}

const tree = (root: string): string =>
  execFileSync('find', ['.', '-printf', '%P %y %m %s %l\\n'], { cwd: root, encoding: 'latin1' })
    .split('\n')
    .sort()
    .join('\n')

describe.skipIf(!haveServer || !haveProgram('sftp'))(
  "the same script for sftp and tsftp (needs OpenSSH's sftp)",
  () => {
    test.each([
      ['-b', 'a batch'],
      ['piped', 'commands from a pipe, with errors that end nothing'],
      ['-Nb', 'a batch that is not quiet'],
    ])('%s: %s', async flag => {
      const results: { ran: Ran; files: string }[] = []
      for (const program of ['sftp', 'tsftp'] as const) {
        // One after the other at the same place, so that all paths are the same.
        const root = join(folder, 'root')
        prepare(root)
        const file = join(folder, 'script')
        writeFileSync(file, script)
        const args = flag === 'piped' ? ['-D', sftpServer] : [flag, file, '-D', sftpServer]
        const input = flag === 'piped' ? script : ''
        const cwd = join(root, 'srv')
        results.push({
          ran: program === 'sftp' ? await sftp(args, input, cwd) : await ours(args, input, cwd),
          files: tree(root),
        })
        rmSync(root, { recursive: true })
      }
      const [theirs, own] = results
      expect(own!.ran.out.split('\n')).toEqual(theirs!.ran.out.split('\n'))
      expect(own!.ran.err.split('\n')).toEqual(theirs!.ran.err.split('\n'))
      expect(own!.ran.status).toBe(theirs!.ran.status)
      expect(own!.files).toBe(theirs!.files)
    })

    /** sftp shows a backslash of an error as two, and names what a pattern with a slash at its end does not match. */
    const said = (text: string): string[] =>
      text
        .replaceAll('\\\\', '\\')
        .split('\n')
        .filter(line => !/^remote readdir\(.*\/"\): No such file/.test(line))
        // The words for the target of cp differ between releases.
        .map(line => line.replace(/^remote open\("(.*)"\):/, 'dest open "$1":'))

    test.skipIf(process.getuid?.() !== 0)('every other command, flag, quote and pattern', async () => {
      const results: { ran: Ran; files: string }[] = []
      for (const run of [sftp, ours]) {
        const root = join(folder, 'root')
        prepare(root)
        results.push({ ran: await run(['-D', sftpServer], moreScript, join(root, 'srv')), files: tree(root) })
        rmSync(root, { recursive: true })
      }
      const [theirs, own] = results
      expect(said(own!.ran.out)).toEqual(said(theirs!.ran.out))
      expect(said(own!.ran.err)).toEqual(said(theirs!.ran.err))
      expect([own!.ran.status, own!.files]).toEqual([theirs!.ran.status, theirs!.files])
    })

    test('each failing command alone: whether the batch goes on', async () => {
      prepare(join(folder, 'root'))
      const cwd = join(folder, 'root/srv')
      for (const line of failures) {
        const [theirs, own] = await Promise.all(
          [sftp, ours].map(run => run(['-b', '-', '-D', sftpServer], `${line}\npwd\n`, cwd)),
        )
        expect([line, own!.status, own!.out, said(own!.err)]).toEqual([
          line,
          theirs!.status,
          theirs!.out,
          said(theirs!.err),
        ])
      }
    }, 60_000)
  },
)

describe.skipIf(!haveServer || !haveProgram('sftp'))('other than sftp', () => {
  test.each([
    // Nothing to go on with is a beginning, and nothing left to do is no failure.
    ['reput a.txt none', [1, 0], ''],
    ['reput a.txt whole.txt', [1, 0], ''],
    // sftp ends without a word.
    ['df none', [1, 1], 'remote statvfs: No such file or directory\n'],
  ] as const)('%s: statuses %j', async (line, statuses, words) => {
    prepare(join(folder, 'root'))
    const cwd = join(folder, 'root/srv')
    const ran: Ran[] = []
    for (const program of [sftp, ours]) {
      rmSync(join(cwd, 'none'), { force: true })
      writeFileSync(join(cwd, 'whole.txt'), 'hello\n')
      ran.push(await program(['-b', '-', '-D', sftpServer], `${line}\n`, cwd))
    }
    expect(ran.map(({ status }) => status)).toEqual(statuses)
    expect(ran[1]!.err).toBe(words)
    if (line.endsWith('none') && !words) expect(readFileSync(join(cwd, 'none'), 'utf8')).toBe('hello\n')
  })
})
