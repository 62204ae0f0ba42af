// SPDX-License-Identifier: MIT
// usage: node run.mjs [PART]: runs every *.test.mjs beside it, each file in a process of its own, and ends with
// 'N passed, N failed'. PART keeps the tests whose name contains it. JOTGATE names the binary.
import { readdirSync } from 'node:fs'
import { run } from 'node:test'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const files = readdirSync(here).filter((name) => name.endsWith('.test.mjs')).sort().map((name) => here + name)
const part = process.argv[2]
const escaped = part?.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
let passed = 0
let failed = 0

// A file that breaks outside its tests is reported under its own name: it counts when it fails, never when it passes.
const isFile = (event) => files.includes(event.name) || event.name.endsWith('.test.mjs')
const isLeaf = (event) => event.details?.type !== 'suite' && !isFile(event)

const stream = run({ files, concurrency: 2, timeout: 600_000, ...(part ? { testNamePatterns: [new RegExp(escaped)] } : {}) })
stream.on('test:pass', (event) => {
  if (isLeaf(event) && !event.skip) passed++
})
stream.on('test:fail', (event) => {
  const error = event.details.error
  if (event.details?.type === 'suite' && error?.code === 'ERR_TEST_FAILURE' && error.failureType === 'subtestsFailed') return
  if (isFile(event) && error?.failureType === 'subtestsFailed') return
  failed++
  console.log(`---- ${event.file ? event.file.replace(here, '') + ': ' : ''}${event.name}\n${error?.cause?.stack ?? error?.cause ?? error}`)
})
stream.on('test:stderr', (event) => process.stdout.write(event.message))
stream.on('end', () => {
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed || !passed ? 1 : 0
})
stream.resume()
