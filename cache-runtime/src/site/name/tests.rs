use std::collections::HashSet;

use super::{generic_arguments, has_closure_parameter, normalized, path};

/// The first of each row is the normalized name. The others are what compilers have printed for it, before
/// and since 1.91, and with the hashes and numbers of symbols.
const FORMS: &[&[&str]] = &[
    &[
        "app::areas",
        "app::areas::{{closure}}::{{closure}}",
        "app::areas::{closure#0}::{closure#1}",
        "app[5f3759df01234567]::areas::{closure#0}::{closure#0}",
    ],
    &[
        "<app::L as app::Tr>::m",
        "<app::L as app::Tr>::m::{{closure}}",
        "<app::L<'_> as app::Tr>::m::{{closure}}",
        "<app::L<'_> as app::Tr<'_>>::m::{{closure}}",
        "<app::L<'a> as app::Tr>::m::{{closure}}",
        "app::other::<impl app::Tr for app::L<'_>>::m::{{closure}}",
    ],
    &["app::L<u8>::i", "app::L<u8>::i::{{closure}}", "app::L<'_, '_, u8>::i::{{closure}}"],
    &[
        "app::B::inh",
        "app::B::inh::{{closure}}",
        "app::other::<impl app::B>::inh::{{closure}}",
        "app::_::<impl app::B>::inh::{{closure}}",
        "<impl app::B>::inh::{{closure}}",
    ],
    &[
        "app::g<alloc::borrow::Cow<str>>",
        "app::g<alloc::borrow::Cow<str>>::{{closure}}",
        "app::g<alloc::borrow::Cow<'_, str>>::{{closure}}",
        "app::g<alloc::borrow::Cow<'static, str>>::{{closure}}",
    ],
    &[
        "app::g<fn(&u8) -> &mut u8>",
        "app::g<fn(&u8) -> &mut u8>::{{closure}}",
        "app::g<fn(&'_ u8) -> &'_ mut u8>::{{closure}}",
        "app::g<for<'a> fn(&'a u8) -> &'a mut u8>::{{closure}}",
        "app::g<for<'a, 'b> fn(&'a u8) -> &'b mut u8>::{{closure}}",
    ],
    &[
        "app::g<alloc::boxed::Box<dyn core::ops::function::Fn(&u8) + core::marker::Send>>",
        "app::g<alloc::boxed::Box<dyn core::ops::function::Fn(&u8) + core::marker::Send>>::{{closure}}",
        "app::g<alloc::boxed::Box<dyn core::ops::function::Fn(&'_ u8) + core::marker::Send + '_>>::{{closure}}",
        "app::g<alloc::boxed::Box<dyn for<'a> core::ops::function::Fn(&'a u8) + core::marker::Send>>::{{closure}}",
    ],
    &[
        "app::main::{{closure}}::areas",
        "app::main::{{closure}}::areas::{{closure}}::{{closure}}",
        "app::main::{closure#3}::areas::{closure#0}::{closure#0}",
    ],
    &["<dyn app::Tr<u8>>::d", "<dyn app::Tr<u8>>::d", "app::x::<impl dyn app::Tr<u8> + '_>::d"],
    &["<[u8] as app::Tr>::m", "<[u8] as app::Tr>::m", "app::x::<impl app::Tr for [u8]>::m"],
    &["app::N<3, '62', true>::i", "app::N<3, '>', true>::i::{{closure}}"],
    &["app::N<3, '39', true>::i", r"app::N<3, '\'', true>::i::{{closure}}"],
    &["app::N<3, '955', true>::i", r"app::N<3, '\u{3bb}', true>::i", "app::N<3, 'λ', true>::i"],
    &["app::N<3, '97', true>::i", "app::N<'_, 3, 'a', true>::i"],
];

#[test]
fn a_function_has_one_name_whichever_compiler_prints_it() {
    for row in FORMS {
        let (name, forms) = row.split_first().expect("a name");
        for form in forms {
            assert_eq!(normalized(form), *name, "{form}");
        }
    }
}

#[test]
fn functions_that_differ_have_names_that_differ() {
    let names = [
        "app::areas::{{closure}}::{{closure}}",
        "app::areas::{{closure}}::areas::{{closure}}",
        "app::areas::areas::{{closure}}",
        "app::main::{{closure}}::areas::{{closure}}",
        "app::main::areas::{{closure}}",
        "app::B::areas::{{closure}}",
        "<app::B as app::Tr>::areas::{{closure}}",
        "<app::B as app::Tr<u8>>::areas::{{closure}}",
        "<app::A<app::B> as app::Tr>::areas::{{closure}}",
        "app::x::<impl app::Tr for app::C>::areas::{{closure}}",
        "app::x::<impl app::C>::areas::{{closure}}",
        "app::x::<impl dyn app::C>::areas::{{closure}}",
        "app::x::C::areas::{{closure}}",
        "app::g<u8>::{{closure}}",
        "app::g<&u8>::{{closure}}",
        "app::g<&mut u8>::{{closure}}",
        "app::g<[u8; 4]>::{{closure}}",
        "app::g<[u8; 4444]>::{{closure}}",
        "app::g<[u8]>::{{closure}}",
        "app::g<4>::{{closure}}",
        "app::g<'4'>::{{closure}}",
        "app::g<'>'>::{{closure}}",
        "app::g<'<'>::{{closure}}",
        r"app::g<'\\'>::{{closure}}",
        r"app::g<'\n'>::{{closure}}",
        "app::g<'n'>::{{closure}}",
        "app::g<fn(u8)>::{{closure}}",
        "app::g<fn(u8) -> u8>::{{closure}}",
        "app::g<dyn app::Tr>::{{closure}}",
        "app::g<dyn app::Tr + core::marker::Send>::{{closure}}",
    ];
    let normalized_names: HashSet<_> = names.iter().map(|name| normalized(name)).collect();
    assert_eq!(normalized_names.len(), names.len(), "{normalized_names:#?}");
}

#[test]
fn a_function_with_an_id_keeps_its_type_parameters_alone() {
    for (name, here, expected) in [
        ("app::areas::{{closure}}::{{closure}}", "app::areas::{{closure}}::__here", ""),
        ("<app::B as app::Tr>::m::{{closure}}", "<app::B as app::Tr>::m::__here", ""),
        ("<app::L<'_> as app::Tr>::m::{{closure}}", "<app::L<'_> as app::Tr>::m::__here", ""),
        (
            "app::x::<impl app::Tr for app::C>::m::{{closure}}",
            "app::x::<impl app::Tr for app::C>::m::__here",
            "",
        ),
        ("app::g<u8>::{{closure}}", "app::g::__here", "<u8>"),
        ("app::A<u8>::j<&str>::{{closure}}", "app::A<_>::j::__here", "<u8><&str>"),
        ("app::N<3, '>', true>::i::{{closure}}", "app::N<M, Q, W>::i::__here", "<3, '62', true>"),
        // A method that the trait itself defines is generic over its implementor.
        ("<app::B as app::Tr>::m::{{closure}}", "app::Tr::m::__here", "<app::B as app::Tr>"),
    ] {
        assert_eq!(generic_arguments(name, here), expected, "{name}");
    }
}

#[test]
fn a_closure_as_a_parameter_is_noticed() {
    for (name, expected) in [
        ("app::apply<app::main::{{closure}}>::{{closure}}", true),
        ("app::apply<app::test::{{closure}}::Local>::{{closure}}", true),
        ("app::main::{{closure}}::areas::{{closure}}", false),
        ("app::outer<fn(u8) -> u8>::{{closure}}", false),
        ("app::outer<'<'>::{{closure}}", false),
        ("<app::S as app::Repo>::find<'_, '_>::{{closure}}::{{closure}}", false),
    ] {
        assert_eq!(has_closure_parameter(name), expected, "{name}");
    }
}

#[test]
fn a_path_is_free_of_closures_generics_and_traits() {
    for (name, expected) in [
        ("app::areas::{{closure}}::{{closure}}", "app::areas"),
        ("<app::A<u8> as app::Tr>::get::{{closure}}", "app::A::get"),
        ("<impl app::B>::get<alloc::vec::Vec<u8>, 3, &str>::{{closure}}", "app::B::get"),
        ("app::other::<impl app::B>::get::{{closure}}", "app::B::get"),
        ("app::other::<impl app::Tr for app::B>::get::{{closure}}", "app::B::get"),
        ("app::outer<fn(u8) -> u8>::inner::{{closure}}", "app::outer::inner"),
        ("<app::W<<u8 as app::T>::Out> as app::Tr>::d", "app::W::d"),
        ("<&[u8] as app::Tr>::d", "__u8_::d"),
        ("<&'_ [u8] as app::Tr>::d", "__u8_::d"),
        ("<dyn app::Tr<u8>>::d", "dyn_app::Tr::d"),
    ] {
        assert_eq!(path(name), expected);
    }
}
