/** Target URLs by what must let them through. Whitespace separates the entries of a list. */
function list(text: string): string[] {
  return text.trim().split(/\s+/);
}

/** Every spelling of an IPv4 address that a URL parser reads as that address, and IPv6 addresses that carry it. */
export function spellings(dotted: string): string[] {
  const octets = dotted.split(".").map(Number);
  const [a = 0, b = 0, c = 0, d = 0] = octets;
  const hex = octets.map((octet) => octet.toString(16).padStart(2, "0"));
  const high = hex.slice(0, 2).join("");
  const low = hex.slice(2).join("");
  const value = ((a * 256 + b) * 256 + c) * 256 + d;
  const octal = octets.map((octet) => `0${octet.toString(8)}`);
  const hosts = [
    dotted,
    `${dotted}.`,
    `${value}`,
    `${value}.`,
    `0x${value.toString(16)}`,
    `0X${value.toString(16).toUpperCase()}`,
    `0x${value.toString(16).padStart(20, "0")}`,
    `0${value.toString(8)}`,
    octal.join("."),
    octal.map((octet) => `00${octet}`).join("."),
    hex.map((octet) => `0x${octet}`).join("."),
    `${a}.0x${hex[1]}.${octal[2]}.${d}`,
    `${a}.${b}.${c * 256 + d}`,
    `${a}.${(b * 256 + c) * 256 + d}`,
    `0x${hex[0]}.0x${hex.slice(1).join("")}`,
    dotted.replaceAll(".", "%2e"),
    dotted.replace(/\d/g, (digit) => `%3${digit}`),
    dotted.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
    dotted.replace(/\d/g, (digit) => String.fromCodePoint(0x1d7ce + Number(digit))),
    dotted.replaceAll(".", "\u3002"),
    dotted.replaceAll(".", "\uff0e"),
    dotted.replaceAll(".", "\uff61"),
    `${dotted.slice(0, 1)}\u00ad${dotted.slice(1)}`,
    `[::ffff:${dotted}]`,
    `[::FFFF:${high}:${low}]`,
    `[0:0:0:0:0:ffff:${dotted}]`,
    `[0000:0000:0000:0000:0000:ffff:${high}:${low}]`,
    `[::ffff:0:${dotted}]`,
    `[64:ff9b::${dotted}]`,
    `[0064:FF9B:0::${high}:${low}]`,
    `[2002:${high}:${low}::]`,
    `[2002:${high}:${low}:0:0:0:0:1]`,
    `[2002:${high}:${low}:ffff::1:2:3]`,
  ];
  // ::a.b.c.d with a leading zero group would be :: or ::1.
  return [...hosts, ...(value > 0xffff ? [`[::${dotted}]`, `[0:0:0:0:0:0:${high}:${low}]`] : [])].map(
    (host) => `http://${host}/`,
  );
}

const LOOPBACK = [
  ...spellings("127.0.0.1"),
  ...spellings("127.255.255.254"),
  ...list(`
    http://127.1 http://127.1:80/ http://127.0.1/ http://0177.1/ http://0x7f.1/ http://0x7f.0.1/ http://017700000001/
    https://127.0.0.1:8443/a?b=c HTTP://127.0.0.1 hTTps://127.0.0.1./ http://127.8.8.8 http://127.0.0.1#x
    http://127.0.0.1\\@example.com http://127.0.0.1?@example.com http://127.0.0.1#@example.com
    http://[::1] http://[::1]:3000/ http://[0:0:0:0:0:0:0:1] http://[0000::0001] http://[0::1] http://[::0:1]
    http://[::0.0.0.1] http://[0:0:0:0:0:0:0.0.0.1]
    http://localhost http://localhost:8787/x http://LOCALHOST http://LocalHost. http://localhost.:80/
    http://a.localhost http://a.b.LOCALHOST. http://api.example.com.localhost http://localhost.localdomain
    http://%6c%6f%63%61%6c%68%6f%73%74 http://%6Cocalhost http://localhos%54 http://localhost%2e
    http://ｌｏｃａｌｈｏｓｔ http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ http://𝓁ℴ𝒸𝒶𝓁𝒽ℴ𝓈𝓉 http://ⅼocalhost http://localhoſt http://localhost。
    http://LOCALHOSᵀ http://a．localhost http://%EF%BD%8Cocalhost http://loc\u00adalhost http://local\u200bhost
    http://localhost6 http://localhost4 http://ip6-localhost http://ip6-loopback http://localhost6.localdomain6
    http://localtest.me http://api.localtest.me http://lvh.me http://a.b.LVH.me. http://vcap.me http://x.fuf.me
    http://lacolhost.com http://localho.st http://x.local.gd
    http://127.0.0.1.nip.io http://127-0-0-1.nip.io http://app.127.0.0.1.sslip.io:80 http://app.127-0-0-1.xip.io.
    http://127.0.0.1.traefik.me http://127.0.0.1.backname.io
  `),
];

const PRIVATE = [
  ...spellings("10.0.0.1"),
  ...spellings("172.16.0.1"),
  ...spellings("192.168.1.1"),
  ...spellings("100.64.0.1"),
  ...list(`
    http://10.1 http://10.0.1 http://012.1 http://0xa.1 http://10.255.255.255 http://172.31.255.255 http://172.20.1
    http://192.168.0.0 http://192.168.257 http://100.127.255.255 http://100.64.1
    http://[fc00::] http://[fc00::1] http://[FD12:3456:789a::1]:8080/ http://[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]
    http://[fd00::1] http://[fd00:ec3::254] http://[fc00::10.0.0.1]
    http://printer.local http://PRINTER.LOCAL. http://a.b.local http://db.internal http://ip-10-0-0-1.ec2.internal
    http://host.docker.internal http://x.svc.cluster.local http://kubernetes.default.svc http://nas.lan http://nas.home
    http://nas.home.arpa http://wiki.corp http://wiki.intranet http://vault.private http://x.localdomain
    http://db%2einternal http://ｄｂ.ｉｎｔｅｒｎａｌ http://db。internal http://intern%61l. http://local
    http://db http://db:5432/ http://DB. http://postgres http://ai/ http://münchen http://xn--mnchen-3ya
    http://10.0.0.1.nip.io http://10-0-0-1.sslip.io http://app.192.168.1.1.nip.io http://web.app.172-16-0-1.xip.io.
    http://100.64.0.1.nip.io
  `),
];

const NEVER = [
  ...spellings("169.254.169.254"),
  ...spellings("0.0.0.0"),
  ...list(`
    http://169.254.0.1 http://169.254.170.2 http://169.254.255.255 http://100.100.100.200 http://168.63.129.16
    http://0 http://0x.0x.0x http://0.0 http://0x0 http://00 http://0.1.2.3 http://0.255.255.255 http://192.0.0.1 http://192.0.0.192
    http://192.0.2.1 http://198.51.100.7 http://203.0.113.255 http://192.88.99.1 http://198.18.0.1 http://198.19.255.255
    http://224.0.0.1 http://239.255.255.250 http://240.0.0.1 http://254.1.2.3 http://255.255.255.255 http://0xffffffff
    http://4294967295 http://037777777777 http://255.255.65535 http://[::ffff:224.0.0.1] http://[::255.255.255.255]
    http://[::] http://[0:0:0:0:0:0:0:0] http://[::0.0.0.2] http://[fe80::1] http://[FE80::a9fe:a9fe] http://[febf::1]
    http://[fec0::1] http://[feff::1] http://[ff02::1] http://[ff0e::1] http://[ffff::1] http://[fd00:ec2::254]
    http://[FD00:0EC2:0:0:0:0:0:0254] http://[fd00:ec2::23] http://[fd20:ce::254] http://[fd00:c1::a9fe:a9fe]
    http://[fd00:42::42] http://[2001::1] http://[2001:0:4136:e378:8000:63bf:3fff:fdd2] http://[2001:2::1]
    http://[2001:10::1] http://[2001:20::1] http://[2001:1ff::1] http://[2001:db8::1] http://[3fff::1] http://[3fff:fff::1]
    http://[100::1] http://[64:ff9b:1::1] http://[64:ff9b:1::8.8.8.8] http://[5f00::1] http://[4000::1] http://[8000::1]
    http://[e000::1] http://[::1:2:3] http://[::fffe:8.8.8.8] http://[1fff::1] http://[64:ff9b::c0a8:1:808:808]
    http://metadata http://metadata. http://METADATA/computeMetadata/v1/ http://metadata.google.internal
    http://Metadata.Google.Internal. http://x.metadata.google.internal http://metadata.goog http://metadata.internal
    http://metadata.azure.internal http://metadata.tencentyun.com http://instance-data http://instance-data.ec2.internal
    http://metadata%2Egoogle%2Einternal http://ｍｅｔａｄａｔａ.google.internal
    http://169.254.169.254.nip.io http://169-254-169-254.sslip.io http://nip.io http://sslip.io http://0.0.0.0.nip.io
    http://a9fea9fe.nip.io http://0--1.sslip.io http://8.8.8.8.127.0.0.1.nip.io http://08.8.8.8.nip.io
    http://app-8-8-8-8.nip.io http://8.8-8.8.nip.io http://256.8.8.8.nip.io http://7f000001.08080808.rbndr.us
    http://make-127.0.0.1-rr.1u.ms http://fdaa-a-a-a-8-8-8-8.sslip.io http://1.2.3.nip.io
  `),
];

const MALFORMED = [
  "",
  " ",
  ...list(`
    / /path //example.com ?q #f . example.com example.com:80 www.example.com/x a:b http https http: https: http:/ http://
    https:// http:/// http:///example.com http:example.com http:/example.com https:\\\\example.com http:\\\\127.0.0.1
    http://\\example.com http:/\\example.com
    ftp://example.com ftps://example.com ws://example.com wss://example.com file:///etc/passwd file://example.com/x
    javascript:alert(1) data:text/plain,x blob:http://example.com/x gopher://example.com ssh://example.com mailto:a@example.com
    about:blank httpx://example.com http+unix://example.com shttp://example.com h%74tp://example.com ｈttp://example.com
    http://user@example.com http://user:pw@example.com http://:pw@example.com http://@example.com http://:@example.com
    http://user:pw@127.0.0.1 http://example.com@127.0.0.1 http://example.com:80@127.0.0.1 http://a@b@example.com
    http://:80 http://:80/ http://? http://# http://?x http://#x http://. http://.. http://.example.com http://example..com
    http://example.com.. http://localhost.. http://..localhost http://127.0.0.1.. http://%00 http://example.com%00
    http://exa%6dple.com%20 http://exa%0dmple.com http://exa%09mple.com http://example.com%2f@x http://example.com%40x
    http://a<b.com http://a>b.com http://a^b.com http://a|b.com http://a[b.com http://a]b.com http://a{b}.com http://a"b.com
    http://a'b.com http://a!b.com http://a$b.com http://a*b.com http://a(b).com http://a,b.com http://a;b.com http://a=b.com
    http://a&b.com http://a+b.com http://a~b.com http://--1.sslip.io http://-a.com http://a-.com http://*.example.com
    http://example.com:65536 http://example.com:99999999 http://example.com:-1 http://example.com:x http://example.com:80:80
    http://example.com:０ http://256.256.256.256 http://1.2.3.4.5 http://127.0.0.256 http://4294967296 http://0x100000000
    http://08.0.0.1 http://1..2 http://127.0.0.1.1 http://foo.1 http://foo.0x1
    http://[ http://[] http://[::1 http://::1 http://::1/ http://[:::1] http://[1::2::3] http://[::1]x http://x[::1]
    http://[::ffff:127.0.0] http://[::ffff:127.0.0.1.1] http://[::ffff:0x7f.0.0.1] http://[::g] http://[12345::1]
    http://[1:2:3:4:5:6:7] http://[1:2:3:4:5:6:7:8:9] http://[v1.x] http://[127.0.0.1] http://[fe80::1%25eth0]
    http://[fe80::1%eth0] http://[::1%251] http://[::1%lo] http://[::%31] http://xn--
    http://xn--localhost-.com http://\ud800.com http://\u202ea.com
  `),
  `http://${"a".repeat(64)}.com`,
  `http://${"a.".repeat(127)}com`,
  `http://example.com/${"a".repeat(4_096 - 18)}`,
  `http://example.com/${"é".repeat(700)}`,
  ...[
    "\0",
    "\x01",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\v",
    "\f",
    "\x1b",
    " ",
    "\x7f",
    "\x80",
    "\x85",
    "\x9f",
  ].flatMap(around),
  ...["\u00a0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff"].flatMap(
    around,
  ),
];

function around(character: string): string[] {
  return [
    `${character}http://example.com`,
    `http://example.com/${character}`,
    `http://exam${character}ple.com/`,
    `ht${character}tp://example.com/`,
  ];
}

/** Refused spellings by what they are: `malformed` and `never` under all rules, the others unless their rule is on. */
export const REFUSED = { loopback: LOOPBACK, private: PRIVATE, never: NEVER, malformed: MALFORMED };

/** What is accepted under every rule: its text, the URL to call and the origin. */
export const ACCEPTED: [text: string, url: string, origin: string][] = [
  ...list(`
    https://example.com/ http://example.com/ https://api.example.com/charge https://example.com/a/b?c=d&e=%20
    https://example.com:8443/ http://example.com:443/ https://example.com:80/ http://example.com:81/ https://example.com:65535/x
    https://10.example.com/ https://127.example.org/ https://127.0.0.1.example.com/ https://localhost.example.com/
    https://192.168.1.1.example.com/ https://0x7f000001.example.com/ https://169.254.169.254.example.com/
    https://mylocalhost.com/ https://notlocalhost.com/ https://localhost.com/ https://localhosts.example/ https://xlvh.me/
    https://local.example.com/ https://internal.example.com/ https://lan.com/ https://home.arpa.example.com/ https://a.locals/
    https://metadata.google.com/ https://metadata.example.com/ https://metadata.google.internal.example.com/
    https://notnip.io/ https://nip.io.example.com/ https://localtest.me.example.com/ https://svc.example.com/
    https://8.8.8.8.nip.io/ https://app.1-1-1-1.sslip.io/ https://a_b.example.com/ https://_dmarc.example.com/
    https://r3---sn-x.example.com/ https://1.example.com/ https://123.com/ https://0.pool.example.org/ https://x.y.z.co.uk/
    http://8.8.8.8/ https://1.1.1.1/ http://9.255.255.255/ http://11.0.0.0/ http://126.255.255.255/ http://128.0.0.0/
    http://100.63.255.255/ http://100.128.0.0/ http://169.253.255.255/ http://169.255.0.0/ http://172.15.255.255/
    http://172.32.0.0/ http://192.167.255.255/ http://192.169.0.0/ http://198.17.255.255/ http://198.20.0.0/
    http://192.0.1.0/ http://192.0.3.0/ http://198.51.99.255/ http://203.0.114.0/ http://223.255.255.255/ http://1.0.0.0/
    http://168.63.129.17/ http://100.100.100.199.example.com/ http://192.88.98.255/ http://193.0.0.1:8080/
    https://[2606:4700:4700::1111]/ https://[2001:4860:4860::8888]:8443/ https://[2a00:1450:4001:80b::200e]/x
    http://[2001:200::1]/ http://[2001:db7::1]/ http://[2001:db9::1]/ http://[3ffe::1]/ http://[3fff:1000::1]/ http://[2003::1]/
    http://[::ffff:808:808]/ http://[::808:808]/ http://[64:ff9b::808:808]/ http://[2002:808:808::1]/
    https://xn--mnchen-3ya.de/ https://xn--fiqs8s.xn--fiqs8s/ https://example.com/@x https://example.com/?a=b@c
    https://example.com/http://127.0.0.1/ https://example.com/?u=http://169.254.169.254/ https://example.com//
  `).map((text): [string, string, string] => [text, text, originAsWritten(text)]),
  ["https://example.com", "https://example.com/", "https://example.com"],
  ["HTTPS://EXAMPLE.COM/A", "https://example.com/A", "https://example.com"],
  ["https://example.com:443/", "https://example.com/", "https://example.com"],
  ["http://example.com:80", "http://example.com/", "http://example.com"],
  ["http://example.com:", "http://example.com/", "http://example.com"],
  ["https://example.com./x", "https://example.com./x", "https://example.com"],
  ["https://example.com.:8443/x", "https://example.com.:8443/x", "https://example.com:8443"],
  ["https://example.com/a#fragment", "https://example.com/a", "https://example.com"],
  ["https://example.com/a?b#", "https://example.com/a?b", "https://example.com"],
  ["https://example.com#@127.0.0.1", "https://example.com/", "https://example.com"],
  ["https://example.com\\@127.0.0.1", "https://example.com/@127.0.0.1", "https://example.com"],
  ["https://example.com/a/../b/./c", "https://example.com/b/c", "https://example.com"],
  ["https://example.com/é", "https://example.com/%C3%A9", "https://example.com"],
  ["https://münchen.de/", "https://xn--mnchen-3ya.de/", "https://xn--mnchen-3ya.de"],
  ["https://MÜNCHEN.de./", "https://xn--mnchen-3ya.de./", "https://xn--mnchen-3ya.de"],
  ["https://例え.jp/", "https://xn--r8jz45g.jp/", "https://xn--r8jz45g.jp"],
  ["https://пример.рф/", "https://xn--e1afmkfd.xn--p1ai/", "https://xn--e1afmkfd.xn--p1ai"],
  ["https://ｅｘａｍｐｌｅ。com/", "https://example.com/", "https://example.com"],
  ["https://ex%61mple.com/", "https://example.com/", "https://example.com"],
  ["https://lоcalhost.com/", "https://xn--lcalhost-nbh.com/", "https://xn--lcalhost-nbh.com"],
  ["http://134744072/", "http://8.8.8.8/", "http://8.8.8.8"],
  ["http://0x8080808", "http://8.8.8.8/", "http://8.8.8.8"],
  ["http://010.8.8.8", "http://8.8.8.8/", "http://8.8.8.8"],
  ["http://8.8.8.8.", "http://8.8.8.8/", "http://8.8.8.8"],
  ["http://[2606:4700:4700:0:0:0:0:1111]", "http://[2606:4700:4700::1111]/", "http://[2606:4700:4700::1111]"],
  ["http://[::FFFF:8.8.8.8]", "http://[::ffff:808:808]/", "http://[::ffff:808:808]"],
];

function originAsWritten(text: string): string {
  return text.split("/").slice(0, 3).join("/");
}
