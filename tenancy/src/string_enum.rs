//! Macro for enums whose variants have the same text in SQL, JSON and on the command line.

/// Defines an enum that is stored as `text` in SQL and converts to and from that text.
macro_rules! string_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize, sqlx::Type)]
        #[sqlx(type_name = "text")]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] #[sqlx(rename = $word)] $variant,)+
        }

        impl $name {
            /// All variants in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> std::result::Result<Self, String> {
                Self::ALL.iter().copied().find(|variant| variant.as_str() == text).ok_or_else(|| {
                    let texts: Vec<_> = Self::ALL.iter().map(|variant| variant.as_str()).collect();
                    format!("must be one of {}", texts.join(", "))
                })
            }
        }
    };
}

/// Defines an enum like [`string_enum`], whose variants also have their doc comment as a sentence.
macro_rules! string_enum_with_sentences {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $sentence:literal])+ $variant:ident = $word:literal,)+ }) => {
        $crate::string_enum::string_enum! {
            $(#[$doc])* $name { $($(#[doc = $sentence])+ $variant = $word,)+ }
        }

        impl $name {
            /// Returns the description of the variant as a sentence for people.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => concat!($($sentence),+)),+ }.trim_start()
            }
        }
    };
}

pub(crate) use {string_enum, string_enum_with_sentences};
