#include "itest.h"
void test_instructions(void)
{
}
void test_ports(void)
{
}
void test_hidden(void)
{
}
void test_nmi(void)
{
}
void test_interrupts(void)
{
}
void test_events(void)
{
}
void test_pages(void)
{
}
void test_code(void)
{
}
void test_strings(void)
{
}
void test_atomic(void)
{
}
void test_icr(void)
{
}
