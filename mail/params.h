/* SPDX-License-Identifier: Apache-2.0 */
/* params.h - every setting, once.  Struct, defaults, parser, limits, `postroad conf` output and the manual are all
 * made from this table.  A name and a meaning are Postfix's wherever Postfix has the setting. */
#ifndef MAIL_PARAMS_H
#define MAIL_PARAMS_H

#include "util/conf.h"
#include "util/err.h"
#include "util/net.h"
#include "util/str.h"

/* Kinds: size (bytes; suffix k m g), time / hours / days (seconds; suffix s m h d w; the kind is the unit of a bare number),
 * num, bool (yes/no), text, raw (text whose $ is not expanded here), dir (text, an absolute path), nets (util/net.h), choice (one of the words in the manual text
 * before the colon, separated by |).
 *    kind  name                                default             min  max    what the manual says */
/* What the client of SMTP and that of LMTP both have, each its own: smtp_mail_timeout, lmtp_mail_timeout. */
#define CLIENT_PARAMS(P, protocol, hello, port) \
	P(text,   protocol##_##hello##_name,                   "$myhostname",      1, 255, "Name sent in EHLO and HELO (LHLO).") \
	P(text,   protocol##_bind_address,                     "",                 0, 64, "IPv4 address to send from.") \
	P(text,   protocol##_bind_address6,                    "",                 0, 64, "IPv6 address to send from.") \
	P(choice, protocol##_address_preference,               "any",              0, 16, "any|ipv4|ipv6: family tried first among addresses of equal preference.") \
	P(num,    protocol##_tcp_port,                         port,               1, 65535, "Port of a next hop that names none.") \
	P(num,    protocol##_client_limit,                     "500",              1, 60000, "Deliveries that one smtp process works on at once.") \
	P(num,    protocol##_mx_address_limit,                 "5",                0, 1000, "Most addresses of a destination that are tried in one delivery; 0: no limit.") \
	P(num,    protocol##_mx_session_limit,                 "2",                0, 1000, "Most sessions in one delivery; 0: no limit.") \
	P(time,   protocol##_connect_timeout,                  "30s",              1, 3600, "How long to wait for a TCP connection.") \
	P(time,   protocol##_##hello##_timeout,                "300s",             1, 3600, "How long to wait for the greeting and for the reply to EHLO.") \
	P(time,   protocol##_mail_timeout,                     "300s",             1, 3600, "How long to wait for the reply to MAIL.") \
	P(time,   protocol##_rcpt_timeout,                     "300s",             1, 3600, "How long to wait for the reply to RCPT.") \
	P(time,   protocol##_data_init_timeout,                "120s",             1, 3600, "How long to wait for the reply to DATA.") \
	P(time,   protocol##_data_xfer_timeout,                "180s",             1, 3600, "How long a piece of content may take to send.") \
	P(time,   protocol##_data_done_timeout,                "600s",             1, 3600, "How long to wait for the reply to the end of content.") \
	P(time,   protocol##_rset_timeout,                     "20s",              1, 3600, "How long to wait for the reply to RSET.") \
	P(time,   protocol##_quit_timeout,                     "300s",             1, 3600, "How long to wait for the reply to QUIT.") \
	P(bool,   protocol##_connection_cache_on_demand,       "yes",              0, 1, "Keep connections for the next message to the same place.") \
	P(time,   protocol##_connection_cache_time_limit,      "2s",               0, 3600, "How long an idle connection is kept.") \
	P(time,   protocol##_connection_reuse_time_limit,      "300s",             1, 86400, "How long a connection is used at all.") \
	P(num,    protocol##_connection_reuse_count_limit,     "0",                0, 1000000, "How many messages a connection is used for; 0: no limit.") \
	P(bool,   protocol##_skip_5xx_greeting,                "yes",              0, 1, "After a 5xx greeting try the next server instead of returning the mail.") \
	P(size,   protocol##_line_length_limit,                "998",              0, 1 << 20, "Longer lines are broken; 0: never.")

#define PARAMS(P) \
	P(text, myhostname,                         "",                 0, 255, "The name this host gives itself: banner, Received headers, HELO.  Default: the system's host name, made fully qualified by /etc/hosts, or else by .localdomain.") \
	P(text, mydomain,                           "",                 0, 255, "The local domain.  Default: $myhostname less its first label.") \
	P(text, myorigin,                           "$myhostname",      0, 255, "The domain that locally submitted mail comes from.  /FILE: the first line of that file, as Debian's /etc/mailname; $myhostname when there is none.") \
	P(text, mydestination,                      "$myhostname, localhost.$mydomain, localhost", 0, 65536, "Domains delivered on this host: a match list.") \
	P(text, mynetworks_style,                   "host",             0, 16, "host|subnet|class: how mynetworks is made when it is not set; only host is supported: this host's own addresses.") \
	P(nets, mynetworks,                         "",                 0, 65536, "Clients that may relay.  Default: the loopback networks and this host's own addresses.") \
	P(text, relay_domains,                      "",                 0, 65536, "Domains, and their subdomains, that anyone may send to through this host: a match list.") \
	P(text, relayhost,                          "",                 0, 1024, "Next hop for all mail that is not local: a domain (MX is looked up), [host], [host]:port or host:port; or several, tried in turn.") \
	P(text, parent_domain_matches_subdomains,   "debug_peer_list, fast_flush_domains, mynetworks, permit_mx_backup_networks, qmqpd_authorized_clients, relay_domains, smtpd_access_maps", 0, 4096, "Settings in whose lists and tables a domain stands for its subdomains as well; in others .domain does.") \
	P(bool, append_at_myorigin,                 "yes",              0, 1, "Add @$myorigin to addresses without domain.") \
	P(bool, append_dot_mydomain,                "no",               0, 1, "Add .$mydomain to addresses whose domain has no dot.") \
	P(text, recipient_delimiter,                "",                 0, 16, "Characters that separate a user from an extension: user+extension.") \
	P(bool, always_add_missing_headers,         "no",               0, 1, "Add missing header fields to mail from elsewhere, too.") \
	P(text, canonical_maps,                     "",                 0, 4096, "Tables of addresses that stand for others, in envelope and header.") \
	P(text, sender_canonical_maps,              "",                 0, 4096, "canonical_maps for senders, asked first.") \
	P(text, recipient_canonical_maps,           "",                 0, 4096, "canonical_maps for recipients, asked first.") \
	P(text, masquerade_domains,                 "",                 0, 4096, "Domains whose hosts' names are taken off addresses: user@host.domain is user@domain.  !domain is left alone.") \
	P(text, masquerade_exceptions,              "",                 0, 4096, "Users that are not masqueraded.") \
	P(text, masquerade_classes,                 "envelope_sender, header_sender, header_recipient", 0, 256, "Where masquerading applies; also envelope_recipient.") \
	P(text, always_bcc,                         "",                 0, 512, "One more recipient of every message.") \
	P(text, sender_bcc_maps,                    "",                 0, 4096, "Tables of one more recipient by sender.") \
	P(text, recipient_bcc_maps,                 "",                 0, 4096, "Tables of one more recipient by recipient.") \
	P(text, virtual_alias_maps,                 "",                 0, 4096, "Tables of addresses that stand for one or more others.") \
	P(text, virtual_alias_domains,              "$virtual_alias_maps", 0, 4096, "Domains all of whose addresses are virtual aliases: a match list.") \
	P(num,  virtual_alias_expansion_limit,      "1000",             1, 1000000, "Most addresses that one comes to by virtual aliases.") \
	P(num,  virtual_alias_recursion_limit,      "1000",             1, 1000000, "Most steps of virtual aliases.") \
	P(text, virtual_mailbox_domains,            "",                 0, 65536, "Domains whose addresses have mailboxes in virtual_mailbox_maps: a match list.") \
	P(text, virtual_mailbox_maps,               "",                 0, 4096, "Tables of mailboxes below virtual_mailbox_base, by address; a Maildir ends in /.") \
	P(text, virtual_mailbox_base,               "",                 0, 4096, "Directory that all virtual mailboxes are below.") \
	P(text, virtual_uid_maps,                   "",                 0, 4096, "Tables of the user id that owns a virtual mailbox.") \
	P(text, virtual_gid_maps,                   "",                 0, 4096, "Tables of the group id of a virtual mailbox.") \
	P(num,  virtual_minimum_uid,                "100",              1, 1LL << 31, "Least user id that virtual_uid_maps may give.") \
	P(size, virtual_mailbox_limit,              "51200000",         0, 1LL << 50, "Largest virtual mailbox file; 0: no limit.") \
	P(text, virtual_transport,                  "virtual",          1, 1024, "Transport (and optional next hop) of mail to virtual_mailbox_domains.") \
	P(num,  unknown_virtual_mailbox_reject_code, "550",             400, 599, "Reply code of: User unknown in virtual mailbox table.") \
	P(text, propagate_unmatched_extensions,     "canonical, virtual", 0, 256, "Tables whose results take over the extension of the address asked for.") \
	P(text, default_transport,                  "smtp",             1, 1024, "Transport (and optional next hop) of mail that is not local.") \
	P(text, relay_transport,                    "relay",            1, 1024, "Transport (and optional next hop) of mail to relay_domains.") \
	P(text, local_transport,                    "local:$myhostname", 1, 1024, "Transport (and optional next hop) of mail to mydestination.") \
	P(text, transport_maps,                     "",                 0, 4096, "Tables of transport:nexthop by recipient, domain or .parent domain, that replace what the settings above say.") \
	P(text, relocated_maps,                     "",                 0, 4096, "Tables of users, or @domains, that have moved; mail to them is returned with what the table says.") \
	P(text, sender_dependent_default_transport_maps, "",            0, 4096, "Tables of default_transport by sender, or @domain of it.") \
	P(text, sender_dependent_relayhost_maps,    "",                 0, 4096, "Tables of relayhost by sender, or @domain of it; DUNNO: no relayhost.") \
	P(text, empty_address_default_transport_maps_lookup_key, "<>",  1, 256, "What sender_dependent_default_transport_maps is asked for the null sender.") \
	P(text, empty_address_relayhost_maps_lookup_key, "<>",          1, 256, "What sender_dependent_relayhost_maps is asked for the null sender.") \
	P(text, defer_transports,                   "",                 0, 4096, "Transports whose mail stays deferred until it is flushed.") \
	P(text, inet_interfaces,                    "all",              0, 4096, "Addresses that inet services without a host listen on: all, loopback-only, or a list.") \
	P(choice, inet_protocols,                   "all",              0, 16, "all|ipv4|ipv6: address families to use.") \
	P(text, mail_name,                          "Postroad",         1, 64, "The name of the mail system in banner and Received headers.") \
	P(text, mail_version,                       POSTROAD_VERSION,   1, 64, "The version of the mail system.") \
	P(text, mail_owner,                         "postroad",         1, 64, "Account of processes that need no account of their own; owner of data_directory.") \
	P(text, smtpd_owner,                        "postroad-in",      1, 64, "Account of smtpd; mail_owner's if there is none of this name.") \
	P(text, qmgr_owner,                         "postroad-q",       1, 64, "Account of qmgr, and owner of the queue; mail_owner's if there is none of this name.") \
	P(text, smtp_owner,                         "postroad-out",     1, 64, "Account of what talks to other hosts: smtp, lmtp, resolver; mail_owner's if there is none of this name.") \
	P(text, mail_group,                         "postroad",         1, 64, "Group through which the processes share the queue.") \
	P(dir,  queue_directory,                    "/var/spool/postroad", 1, 4096, "The spool.") \
	P(dir,  data_directory,                     "/var/lib/postroad", 1, 4096, "Files that can be made again: locks, counters, caches.") \
	P(text, daemon_directory,                   "",                 0, 4096, "Where the daemons are.  Default: where the postroad command is, or $PREFIX/libexec/postroad when installed.") \
	P(text, command_directory,                  "",                 0, 4096, "Where the commands are.") \
	P(text, config_directory,                   "",                 0, 4096, "Where main.cf and master.cf were read from; cannot be set.") \
	P(text, alternate_config_directories,       "",                 0, 4096, "Other configuration directories that set-gid commands may use.") \
	P(text, setgid_group,                       "postdrop",         1, 64, "Group of maildrop and of the set-gid commands.") \
	P(text, authorized_mailq_users,             "static:anyone",    0, 4096, "Users who may look at the queue: names, or tables that list them.") \
	P(text, authorized_flush_users,             "static:anyone",    0, 4096, "Users who may flush the queue: names, or tables that list them.") \
	P(text, authorized_submit_users,            "static:anyone",    0, 4096, "Users who may hand in mail with sendmail: names, or tables that list them.") \
	P(text, default_database_type,              "hash",             1, 16, "Type of lookup tables that are named without one.") \
	P(text, alias_maps,                         "hash:/etc/aliases", 0, 4096, "Alias tables that local looks names up in, aliases(5).") \
	P(text, default_privs,                      "nobody",           1, 64, "Account for commands and files of alias tables that root owns, and for mail to root.") \
	P(text, mail_spool_directory,               "/var/mail",        1, 4096, "Where the mailbox files of users are; with a / at the end their Maildirs.") \
	P(text, home_mailbox,                       "",                 0, 4096, "Mailbox below a user's home directory, instead of mail_spool_directory: Mailbox, or Maildir/.") \
	P(size, mailbox_size_limit,                 "51200000",         0, 1LL << 50, "Largest mailbox file, in bytes; 0: no limit.") \
	P(raw,  mailbox_command,                    "",                 0, 4096, "Command that takes the mail of all users, run as the user; its $ are the shell's.") \
	P(text, mailbox_command_maps,               "",                 0, 4096, "Tables of mailbox_command by user.") \
	P(text, mailbox_transport,                  "",                 0, 1024, "Transport (and next hop) for all mail to users, known or not: lmtp:unix:private/dovecot-lmtp.") \
	P(text, mailbox_transport_maps,             "",                 0, 4096, "Tables of mailbox_transport by user.") \
	P(text, fallback_transport,                 "",                 0, 1024, "Transport (and next hop) for mail to unknown users.") \
	P(text, fallback_transport_maps,            "",                 0, 4096, "Tables of fallback_transport by user.") \
	P(raw,  luser_relay,                        "",                 0, 1024, "Address that mail to unknown users goes to; $user, $extension, $domain, $local, $recipient are replaced.") \
	P(raw,  forward_path,                       "$home/.forward${recipient_delimiter}${extension}, $home/.forward", 0, 4096, "Files in which users say where their mail goes; the first one found counts.") \
	P(raw,  command_execution_directory,        "",                 0, 4096, "Where users' commands are run; default: /.") \
	P(raw,  forward_expansion_filter,           "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 1, 256, "Characters that $name in forward_path may stand for; others become _.") \
	P(raw,  command_expansion_filter,           "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 1, 256, "Characters in what commands are told in their environment; others become _.") \
	P(raw,  execution_directory_expansion_filter, "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 1, 256, "Characters that $name in command_execution_directory may stand for; others become _.") \
	P(text, allow_mail_to_commands,             "alias, forward",   0, 256, "Where |command may stand: alias, forward, include.") \
	P(text, allow_mail_to_files,                "alias, forward",   0, 256, "Where /file may stand: alias, forward, include.") \
	P(text, prepend_delivered_header,           "command, file, forward", 0, 256, "Deliveries that get a Delivered-To field, by which loops are found.") \
	P(text, local_command_shell,                "",                 0, 1024, "Program that users' commands are given to, as in \"/bin/sh -c\"; default: /bin/sh -c where a command needs it.") \
	P(text, export_environment,                 "TZ LANG",          0, 4096, "Variables that users' commands get of our environment: NAME, or NAME=value.") \
	P(time, command_time_limit,                 "1000s",            1, 86400, "How long a user's command may take.") \
	P(bool, owner_request_special,              "yes",              0, 1, "Mail to alias x has sender owner-x, if there is such an alias; owner-x and x-request have no extensions.") \
	P(bool, expand_owner_alias,                 "no",               0, 1, "The sender is what owner-x stands for, if that is one address, instead of owner-x.") \
	P(num,  duplicate_filter_limit,             "1000",             1, 1000000, "Most addresses, files and commands that one address may stand for in alias tables and .forward files.") \
	P(bool, biff,                               "no",               0, 1, "Not supported; must be no.") \
	P(num,  local_destination_concurrency_limit, "2",               0, 100000, "Most deliveries at once to one user of this host; 0: no limit.") \
	P(num,  local_destination_recipient_limit,  "1",                1, 100000, "Most recipients in one delivery on this host.") \
	P(text, alias_database,                     "hash:/etc/aliases", 0, 4096, "Alias tables that newaliases makes.") \
	P(text, maillog_file,                       "",                 0, 4096, "File that is logged to instead of syslog; /dev/stdout with start-fg only.") \
	P(text, syslog_name,                        "postroad",         1, 64, "Log tag; postfix lets all log tools recognise the lines.") \
	P(choice, syslog_facility,                  "mail",             0, 16, "mail: syslog facility.") \
	P(bool, sandbox,                            "yes",              0, 1, "Keep each process to what it is there for, by the kernel (seccomp, Landlock).  no is for finding out whether that is what stands in the way of something.") \
	P(text, compatibility_level,                "0",                0, 16, "Taken for compatibility; has no effect.") \
	P(num,  default_process_limit,              "100",              1, 10000, "Most processes of a service whose maxproc is '-'.") \
	P(num,  worker_processes,                   "0",                0, 1024, "Processes started in advance for each network service and client, up to its maxproc; 0: one for each processor.") \
	P(time, service_throttle_time,              "60s",              1, 86400, "Longest wait before a service that keeps crashing is started again; the first waits are shorter.") \
	P(time, daemon_timeout,                     "300s",             1, 86400, "How long a process may not move at all before it is killed and replaced.") \
	P(time, max_idle,                           "100s",             1, 86400, "Idle time after which a process beyond worker_processes ends.") \
	P(time, stop_drain_time,                    "5s",               0, 3600, "How long stop waits for sessions and deliveries to finish.") \
	P(time, reload_drain_time,                  "1h",               1, 864000, "How long workers of the former configuration may take to finish their sessions.") \
	P(size, message_size_limit,                 "10240000",         0, 1LL << 40, "Largest message, in bytes, its header included; 0: no limit.") \
	P(size, header_size_limit,                  "102400",           1024, 1 << 30, "Most bytes of header that are looked at.") \
	P(num,  hopcount_limit,                     "50",               1, 10000, "Most Received headers before a message counts as looping.") \
	P(size, line_length_limit,                  "2048",             512, 65536, "Longest command line.") \
	P(size, queue_minfree,                      "0",                0, 1LL << 50, "Free space that must be left in the queue; at least 1.5 message_size_limit is always asked for.") \
	P(num,  queue_minfree_inodes,               "1000",             0, 1LL << 40, "Free inodes that must be left in the queue.") \
	P(choice, spool_sync,                       "auto",             0, 16, "auto|fsync|syncfs|none: how messages are made durable; none is for tests: a crash loses acknowledged mail.") \
	P(num,  queue_id_node,                      "0",                0, 255, "Number of this host in queue ids, to keep those of several hosts apart.") \
	P(text, smtpd_banner,                       "$myhostname ESMTP $mail_name", 1, 512, "Text after 220.") \
	P(bool, smtpd_helo_required,                "no",               0, 1, "Refuse MAIL before HELO or EHLO.") \
	P(bool, strict_rfc821_envelopes,            "no",               0, 1, "Require <> around addresses in MAIL and RCPT.") \
	P(bool, disable_vrfy_command,               "no",               0, 1, "Refuse VRFY.") \
	P(text, stress,                             "",                 0, 16, "yes for smtpd under overload (smtpd_stress_limit), else empty: for ${stress?{text}:{text}} in its settings.  If it is set here, to whatever, that holds always and nothing changes under overload.") \
	P(num,  smtpd_stress_limit,                 "10000",            0, 100000000, "Sessions of one service, over all its smtpd processes, that are an overload: strangers then meet the settings that smtpd has with stress = yes; so do all clients when no session is free.  Never more than 3/4 of smtpd_client_limit times the process limit; 0: that.") \
	P(time, smtpd_stress_time,                  "300s",             1, 86400, "How long an overload lasts after the sessions have fallen below 2/3 of what began it.") \
	P(time, smtpd_timeout,                      "${stress?{10}:{300}}s", 1, 86400, "How long to wait for a command or for more of a message.") \
	P(num,  smtpd_min_data_rate,                "500",              0, 1 << 30, "Bytes a second that message content must arrive at, averaged over a smtpd_timeout.") \
	P(num,  smtpd_client_limit,                 "10000",            1, 60000, "Sessions that one smtpd process serves at once; 1 gives each session a process.") \
	P(size, smtpd_memory_limit,                 "256m",             0, 1LL << 50, "Memory for the messages under way in one smtpd process: recipients, content that is not yet in a file, transcripts.  Above it MAIL and RCPT are answered 452, and it is an overload (smtpd_stress_limit); 0: no limit.") \
	P(num,  smtpd_client_connection_count_limit, "50",              0, 1000000, "Most sessions of one client at once; 0: no limit.") \
	P(num,  smtpd_client_ipv4_prefix_length,    "32",               0, 32, "Clients whose IPv4 addresses have as many first bits in common are one client to the limits per client.") \
	P(num,  smtpd_client_ipv6_prefix_length,    "64",               0, 128, "The same for IPv6; 64: whoever has one network of his own is one client.") \
	P(nets, smtpd_client_event_limit_exceptions, "$mynetworks",     0, 65536, "Clients that limits per client do not apply to.") \
	P(num,  smtpd_recipient_limit,              "1000",             1, 1000000, "Most recipients of a message.") \
	P(num,  smtpd_recipient_overshoot_limit,    "1000",             1, 1000000, "Recipients refused beyond smtpd_recipient_limit before each counts as an error.") \
	P(time, smtpd_error_sleep_time,             "1s",               0, 3600, "Delay of a reply after smtpd_soft_error_limit errors.") \
	P(num,  smtpd_soft_error_limit,             "10",               1, 1000000, "Errors after which replies are delayed.") \
	P(num,  smtpd_hard_error_limit,             "${stress?{1}:{20}}", 1, 1000000, "Errors after which the session ends.") \
	P(num,  smtpd_junk_command_limit,           "${stress?{1}:{100}}", 1, 1000000, "NOOP, VRFY, RSET and the like in a row that are not counted as errors.") \
	P(bool, smtpd_peername_lookup,              "yes",              0, 1, "Look up the client's name.") \
	P(bool, smtpd_client_port_logging,          "no",               0, 1, "Log the client's port.") \
	P(choice, smtpd_forbid_bare_newline,        "normalize",        0, 16, "normalize|reject|no: what to do with lines of content that end in a bare LF.") \
	P(nets, smtpd_forbid_bare_newline_exclusions, "$mynetworks",    0, 65536, "Clients that may send bare newlines.") \
	P(num,  smtpd_forbid_bare_newline_reject_code, "550",           500, 599, "Reply code of reject; 521 also ends the session.") \
	P(bool, smtpd_forbid_unauth_pipelining,     "yes",              0, 1, "End the session of a client that speaks before it may.") \
	P(text, smtpd_forbidden_commands,           "CONNECT GET POST", 0, 4096, "Commands that end the session at once.") \
	P(text, smtpd_noop_commands,                "",                 0, 4096, "Commands answered 250 without effect.") \
	P(text, smtpd_discard_ehlo_keywords,        "",                 0, 4096, "EHLO keywords that are not offered.") \
	P(bool, smtputf8_enable,                    "yes",              0, 1, "Take and send addresses and headers that are not ASCII, RFC 6531.") \
	P(text, local_recipient_maps,               "proxy:unix:passwd.byname $alias_maps", 0, 4096, "Tables of the users in mydestination; others are refused.  Empty: all are taken.") \
	P(text, relay_recipient_maps,               "",                 0, 4096, "Tables of the addresses in relay_domains; others are refused.  Empty: all are taken.") \
	P(bool, show_user_unknown_table_name,       "yes",              0, 1, "Say in which table a user is unknown.") \
	P(num,  unknown_local_recipient_reject_code, "550",             400, 599, "Reply code of: User unknown in local recipient table.") \
	P(num,  unknown_relay_recipient_reject_code, "550",             400, 599, "Reply code of: User unknown in relay recipient table.") \
	P(num,  unknown_virtual_alias_reject_code,  "550",              400, 599, "Reply code of: User unknown in virtual alias table.") \
	P(text, local_header_rewrite_clients,       "",                 0, 4096, "SMTP clients whose messages have their header completed and rewritten, like those of sendmail: permit_inet_interfaces, permit_mynetworks.") \
	P(num,  relay_domains_reject_code,          "554",              400, 599, "Reply code of: Relay access denied.") \
	P(bool, soft_bounce,                        "no",               0, 1, "Put off whatever would be returned or refused for good: for trying out a new configuration.") \
	P(text, bounce_template_file,               "",                 0, 4096, "Texts of notices to senders, instead of the built-in ones.") \
	P(text, notify_classes,                     "resource, software", 0, 256, "What postmasters are told: bounce, 2bounce, delay, policy, protocol, resource, software.") \
	P(text, bounce_notice_recipient,            "postmaster",       1, 320, "Who gets copies of notices of failure (class bounce).") \
	P(text, _2bounce_notice_recipient,          "postmaster",       1, 320, "Who gets notices of failure that could not be delivered (class 2bounce).") \
	P(text, delay_notice_recipient,             "postmaster",       1, 320, "Who gets copies of warnings of delay (class delay).") \
	P(text, error_notice_recipient,             "postmaster",       1, 320, "Who gets transcripts of smtpd's sessions with errors (classes policy, protocol, resource, software).") \
	P(hours, delay_warning_time,                "0h",               0, 8640000, "Age at which the sender of mail that waits is told so, once; 0: never.") \
	P(bool, confirm_delay_cleared,              "no",               0, 1, "Tell a sender who was warned of a delay when it is over.") \
	P(text, double_bounce_sender,               "double-bounce",    1, 64, "Local part of the sender of notices about notices.") \
	P(num,  qmgr_message_active_limit,          "1000000",          1, 100000000, "Most messages being scheduled at once; others wait in the spool.") \
	P(time, queue_run_delay,                    "300s",             1, 86400, "Time between looks for messages in the spool that no notice came for.") \
	P(time, minimal_backoff_time,               "300s",             1, 864000, "Shortest time between attempts.") \
	P(time, maximal_backoff_time,               "4000s",            1, 864000, "Longest time between attempts.") \
	P(days, maximal_queue_lifetime,             "5d",               0, 8640000, "Age at which undelivered mail is returned; 0: after one attempt.") \
	P(days, bounce_queue_lifetime,              "5d",               0, 8640000, "maximal_queue_lifetime of mail from the null sender.") \
	P(num,  default_destination_concurrency_limit, "20",            0, 100000, "Most deliveries at once to one destination; 0: no limit.") \
	P(num,  initial_destination_concurrency,    "5",                1, 100000, "Deliveries at once to a destination not seen before.") \
	P(num,  default_destination_recipient_limit, "50",              1, 100000, "Most recipients in one delivery.") \
	P(time, default_destination_rate_delay,     "0s",               0, 86400, "Pause between deliveries to one destination.") \
	P(num,  default_destination_concurrency_failed_cohort_limit, "1", 0, 1000, "Failed rounds after which a destination counts as dead.") \
	P(time, transport_retry_time,               "60s",              1, 86400, "Time before a transport that is not there is tried again.") \
	P(size, bounce_size_limit,                  "50000",            0, 1 << 30, "Most bytes of an undeliverable message that are returned with the notice.") \
	CLIENT_PARAMS(P, smtp, helo, "25") \
	CLIENT_PARAMS(P, lmtp, lhlo, "24") \
	P(bool, disable_mime_output_conversion,     "no",               0, 1, "Send 8-bit content as it is to servers without 8BITMIME, instead of turning it into 7 bits.") \
	P(bool, lmtp_assume_final,                  "no",               0, 1, "An LMTP server that does not offer DSN delivers for good; else it is taken for a relay.") \
	P(bool, smtp_always_send_ehlo,              "yes",              0, 1, "Send EHLO even when the greeting does not say ESMTP.") \
	P(bool, smtp_never_send_ehlo,               "no",               0, 1, "Never send EHLO.") \
	P(bool, smtp_send_xforward_command,         "no",               0, 1, "Not supported; must be no.") \
	P(choice, smtp_host_lookup,                 "dns",              0, 16, "dns|native: taken for compatibility; names are always looked up by the resolver.") \
	P(text, dns_forwarders,                     "",                 0, 4096, "Name servers to ask, address or address@port; default: those of /etc/resolv.conf.") \
	P(text, dns_trust_anchor_file,              "",                 0, 4096, "DNSSEC trust anchors; default: none, or the system's when it has them.") \
	P(text, dns_config_file,                    "",                 0, 4096, "More settings for the resolver, in unbound.conf syntax.") \
	P(time, dns_timeout,                        "30s",              1, 600, "How long the resolver may take over one question.")

typedef long long   param_size, param_time, param_hours, param_days, param_num;
typedef bool        param_bool;
typedef const char *param_text, *param_raw, *param_dir, *param_choice;
typedef struct nets *param_nets;

/* The settings of one process, all values expanded and checked; read-only after loading. */
struct params {
#define P(kind, name, def, min, max, doc) param_##kind name;
	PARAMS(P)
#undef P
	struct conf conf;                              /* the files' entries, for params_transport() and `conf` */
	/* All of it as it is with stress = yes (its conf and stressed mean nothing); NULL when that changes nothing. */
	struct params *stressed;
};

/* Load DIR/main.cf, then overrides ("name=value", as -o gives them), then the defaults that are computed.  On error
 * err_why() holds one line per error, at most 20, each "FILE:LINE:COLUMN: …".  Transports are the services of master.cf
 * whose NAME_destination_concurrency_limit and the like are names too. */
enum err params_load(struct params *p, const char *dir, const char *const *overrides, size_t noverrides) MUST_USE;
void     params_fini(struct params *p);
/* What main.cf says, and the overrides, not checked: to be shown also when it would not load.  Of p only conf and config_directory mean
 * anything. */
enum err params_read(struct params *p, const char *dir, const char *const *overrides, size_t noverrides) MUST_USE;
/* What a name is: a setting of ours, one that a transport of master.cf has of its own, the administrator's (used as $name elsewhere), or
 * nothing that has an effect. */
enum params_class { PARAMS_BUILTIN = 1, PARAMS_SERVICE = 2, PARAMS_USER = 4, PARAMS_UNUSED = 8 };
enum params_class params_class(const struct params *p, struct str name);
/* For the LMTP client: each smtp_ setting of CLIENT_PARAMS and its lmtp_ one change places, so that smtp_mail_timeout holds what
 * lmtp_mail_timeout says. */
void     params_speak_lmtp(struct params *p);
/* Settings per transport: TRANSPORT<suffix>, else default<suffix>, e.g. suffix "_destination_concurrency_limit". */
#define TRANSPORT_PARAMS(P) \
	P(num,  _destination_concurrency_limit,  default_destination_concurrency_limit) \
	P(num,  _destination_recipient_limit,    default_destination_recipient_limit) \
	P(time, _destination_rate_delay,         default_destination_rate_delay) \
	P(num,  _destination_concurrency_failed_cohort_limit, default_destination_concurrency_failed_cohort_limit) \
	P(num,  _initial_destination_concurrency, initial_destination_concurrency) \
	P(time, _time_limit,                     command_time_limit)
long long params_transport(const struct params *p, struct str transport, const char *suffix);
/* Files and lookup tables that settings name: each() is called with the setting and one word of its value: "/etc/nets",
 * "hash:/etc/aliases", "proxy:cdb:/etc/aliases".  Both are gone when it returns. */
void     params_files(const struct params *p, void (*each)(void *arg, const char *setting, struct str word), void *arg);
/* For `postroad conf`: "name = value" of all settings (only_set: those in the file), as written or expanded. */
enum params_show { PARAMS_ALL, PARAMS_SET, PARAMS_DEFAULTS };
bool     params_print(const struct params *p, enum params_show which, struct str name /* empty: all */, bool expand, bool value_only, struct buf *out);
/* Append text with $name and all replaced as in main.cf; $name_hours (_seconds, _minutes, _days, _weeks) is a setting of time in that
 * unit.  E_SYNTAX. */
enum err params_expand(const struct params *p, struct str text, struct buf *out) MUST_USE;
/* Change settings in DIR/main.cf, keeping comments and order: lines of "name=value". */
enum err params_edit(const char *dir, struct str name, struct str value) MUST_USE;
/* The same, or take a setting out, or make its lines comments; value is ignored then, and a setting that is not there is no error. */
enum params_change { PARAMS_CHANGE, PARAMS_REMOVE, PARAMS_COMMENT_OUT };
enum err params_change(const char *dir, struct str name, struct str value, enum params_change how) MUST_USE;
/* Is s one of the words of list (commas and blanks separate), or, with subdomains, below one of them? */
bool     list_has(struct str list, struct str s, bool subdomains);
/* The mdoc body of postroad.cf(5), one entry a setting. */
void     params_manual(struct buf *out);

#endif
