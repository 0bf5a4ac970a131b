/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/error.h"
#include "toolstack/xml.h"

bool xml_named(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !node->ns &&
	       !strcmp((const char *)node->name, name);
}

static xmlNode *seek(xmlNode *node, const char *name)
{
	while (node && !xml_named(node, name))
		node = node->next;
	return node;
}

xmlNode *xml_child(const xmlNode *parent, const char *name)
{
	return parent ? seek(parent->children, name) : NULL;
}

xmlNode *xml_next(const xmlNode *node)
{
	return seek(node->next, (const char *)node->name);
}

xmlNode *xml_add(xmlNode *parent, xmlNs *ns, const char *name, const char *text)
{
	xmlNode *node = xmlNewTextChild(parent, ns, BAD_CAST name, BAD_CAST text);

	error_memory(node);
	node->ns = ns; /* NULL would have meant the parent's */
	return node;
}

xmlNode *xml_ensure(xmlNode *parent, const char *name)
{
	xmlNode *node = xml_child(parent, name);

	return node ? node : xml_add(parent, NULL, name, NULL);
}

const char *xml_attr(const xmlNode *node, const char *name)
{
	for (const xmlAttr *a = node ? node->properties : NULL; a; a = a->next)
		if (!strcmp((const char *)a->name, name))
			return a->children && a->children->content
				       ? (const char *)a->children->content
				       : "";
	return NULL;
}

bool xml_attr_is(const xmlNode *node, const char *name, const char *value)
{
	const char *have = xml_attr(node, name);

	return have && !strcmp(have, value);
}

void xml_set(xmlNode *node, const char *name, const char *value)
{
	error_memory(xmlSetProp(node, BAD_CAST name, BAD_CAST value));
}

char *xml_text_dup(const xmlNode *node)
{
	char *content = (char *)error_memory(xmlNodeGetContent(node)), *text;
	size_t start = strspn(content, " \t\r\n"), n = strlen(content);

	while (n > start && isspace((unsigned char)content[n - 1]))
		n--;
	text = error_memory(strndup(content + start, n - start));
	xmlFree(content);
	return text;
}

bool xml_text(const xmlNode *node, char *out, size_t size)
{
	char *text = xml_text_dup(node);
	size_t n = strlen(text);
	bool fits = n < size;

	if (fits)
		memcpy(out, text, n + 1);
	free(text);
	return fits;
}

void xml_remove(xmlNode *node)
{
	if (!node)
		return;
	if (node->prev && xmlIsBlankNode(node->prev)) {
		xmlNode *blank = node->prev;

		xmlUnlinkNode(blank);
		xmlFreeNode(blank);
	}
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

xmlDoc *xml_parse(const char *data, size_t length, const char *path)
{
	xmlDoc *doc = xmlReadMemory(data, (int)length, path, NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS);
	xmlErrorPtr problem = xmlGetLastError();

	if (doc)
		return doc;
	if (problem && problem->message)
		error_set(ERROR_REFUSED, "%s line %d is no XML: %.*s. Mend the file", path,
			problem->line, (int)strcspn(problem->message, "\n"), problem->message);
	else
		error_set(ERROR_REFUSED, "%s is no XML. Mend the file", path);
	return NULL;
}

char *xml_print(xmlDoc *doc)
{
	xmlChar *text = NULL;
	int size;

	xmlDocDumpFormatMemory(doc, &text, &size, 1);
	return error_memory(text);
}
